r"""Sharing maps, pooling tokens and both, at the multiply-adds of a plain ViT, LIFE or not.

Costs: 60 runs of 1,000 iterations.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/psvit.py \
        --seeds 0 1 2 3 4 --workers 2
"""

iterations = 1000  # the budget of every run; batch 32

title = 'PSViT on glyphs'
question = (
    'At the multiply-adds of a plain ViT, what do shared attention maps, pooled tokens and both '
    'bring a small classifier of glyphs of 96 classes, in one dimension and in two? What pooling '
    f'and sharing free is spent on width or depth; all arms train {iterations} iterations.'
)
metrics = [dict(key='accuracy/top1', name='top-1 accuracy', unit='%')]
x = dict(name='training images', values=[dict(value=12000)])


def _schedule(pooling, *stages):
    """Options of a PSViT; its stages as patterns, widths and heads."""
    return {
        'model.backbone.arch': None,
        'model.backbone.pooling': pooling,
        'model.backbone.stages': [
            dict(depth=len(pattern), embed_dims=width, num_heads=heads, pattern=pattern)
            for pattern, width, heads in stages
        ],
        'model.head.in_channels': stages[-1][1],
    }


_deit = 'configs/glyphs/deit-d6w96_glyphs-cls.py'
_psvit = 'configs/glyphs/psvit-d8w96-144_glyphs-cls.py'
# Million multiply-adds behind each; with LIFE up to 1.3 more.
_arms = {
    'DeiT': (_deit, {}),  # 49.6
    'shared': (  # 50.2
        _deit,
        {
            'model.backbone.arch': dict(embed_dims=102, feedforward_channels=408),
            'model.backbone.pattern': 'FSFSFS',
            'model.head.in_channels': 102,
        },
    ),
    'pooled 1D': (_psvit, _schedule('1d', ('FFF', 96, 3), ('FFF', 132, 3))),  # 49.6
    'pooled 2D': (_psvit, _schedule('2d', ('FFF', 96, 3), ('FFFFF', 144, 4))),  # 49.1
    'both 1D': (_psvit, _schedule('1d', ('FFS', 96, 3), ('FSF', 144, 4))),  # 50.7
    'both 2D': (_psvit, _schedule('2d', ('FFFS', 96, 3), ('FSFS', 144, 4))),  # 49.7
}
_life = {'model.backbone.projection': dict(type='LIFEProjection')}
arms = [
    dict(name=f'{name}{", LIFE" if more else ""}', config=config, options=options | more,
         keep_checkpoint=True, against='DeiT, LIFE' if more and name != 'DeiT' else None)
    for more in ({}, _life)
    for name, (config, options) in _arms.items()
]  # fmt: skip
control = 'DeiT'
