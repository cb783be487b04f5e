r"""The schedule that a search has found, schedules that chance draws, and a plain ViT.

The schedules are those of `python tools/search.py tools/searches/digits.py --workers 2
--exhaustive` (docs/search/digits): the one found, and the five random ones, one for each seed.

Costs: 15 runs of 1,000 iterations.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/psvit_search.py \
        --seeds 0 1 2 3 4 --workers 2
"""

iterations = 1000  # the budget of every run; batch 32

title = 'What the search for a schedule brings on digit scenes'
question = (
    'Is a PSViT better for its schedule being searched? The search saw training images alone; here '
    'what it found trains on all of them, beside five schedules drawn by chance at as many '
    'multiply-adds, one for each seed, and the plain ViT; '
    f'all train {iterations} iterations and are tested on images that no search has seen.'
)
metrics = [dict(key='accuracy/top1', name='top-1 accuracy', unit='%')]
x = dict(name='training images', values=[dict(value=6000)])

_found = 'FSFS|FFFFFF'
_random = ('FSFSFFFS|FS', 'FFFSFSFS|FS', 'FSFSFSFF|FS', 'FSFSFS|FSFF', 'FSFFFS|FSFF')


def _schedule(letters):
    """Options of a PSViT whose layers have these letters, a bar at each pool."""
    patterns = letters.split('|')
    return {
        'model.backbone.arch.stages': [
            dict(depth=len(pattern), embed_dims=width, num_heads=heads, pattern=pattern)
            for pattern, width, heads in zip(patterns, (78, 144), (3, 4), strict=True)
        ]
    }


_psvit = 'configs/digits/psvit-d8w96-144_digits-cls.py'
# 49.6 million multiply-adds the plain ViT, 48.2 to 50.8 the others.
arms = [
    dict(name='DeiT', config='configs/digits/deit-d6w96_digits-cls.py'),
    dict(name='random', config=_psvit, seed_options=[_schedule(letters) for letters in _random]),
    dict(name='searched', config=_psvit, options=_schedule(_found), against='random'),
]
control = 'DeiT'
