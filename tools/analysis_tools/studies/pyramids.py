r"""Small pyramids at the multiply-adds of a plain ViT: Swin, Swin V2 with and without LIFE, CAT and
DWNet, static and inhomogeneous.

Costs: 40 runs of 1,000 iterations.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/pyramids.py \
        --seeds 0 1 2 3 4 --workers 2
"""

iterations = 1000  # the budget of every run; batch 32

title = 'Pyramids on glyphs'
question = (
    'At the multiply-adds of a plain ViT, how well do small pyramids of different mixers classify '
    'glyphs of 96 classes, and what does LIFE bring to Swin V2, its convolutions within each '
    f'window or over the whole grid? All arms train {iterations} iterations.'
)
metrics = [dict(key='accuracy/top1', name='top-1 accuracy', unit='%')]
x = dict(name='training images', values=[dict(value=12000)])

_pyramid = 'configs/glyphs/swinv2-d6w48_glyphs-cls.py'
_arch = 'model.backbone.arch'


def _life(scope):
    return {'model.backbone.projection': dict(type='LIFEProjection', scope=scope)}


# Million multiply-adds behind each.
_arms = {
    'Swin V2': {},  # 48.7
    'Swin V2 LIFE, windows': _life('window'),  # 50.2
    'Swin V2 LIFE, grid': _life('grid'),  # 50.2
    'Swin': {'model.backbone.type': 'Swin'},  # 47.4
}
# Transfer starts from these.
_kept = ('Swin V2', 'Swin V2 LIFE, grid')
_dwnet = 'configs/glyphs/dwnet-d6w52_glyphs-cls.py'
_narrow = {
    f'{_arch}.embed_dims': 48,
    f'{_arch}.group_channels': (3, 6, 12),
    'model.head.in_channels': 192,
}
arms = [
    dict(name='DeiT', config='configs/glyphs/deit-d6w96_glyphs-cls.py'),  # 49.6
    *(
        dict(
            name=name,
            config=_pyramid,
            options=options,
            keep_checkpoint=name in _kept,
        )
        for name, options in _arms.items()
    ),
    dict(name='CAT', config='configs/glyphs/cat-d6w51_glyphs-cls.py'),  # 48.4
    dict(name='DWNet', config=_dwnet),  # 47.9
    dict(
        name='I-D-DWNet',
        config=_dwnet,
        options=_narrow | {'model.backbone.kernel': 'inhomogeneous'},
    ),  # 50.3
]
control = 'Swin V2'
