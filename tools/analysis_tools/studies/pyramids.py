r"""Small pyramids at the multiply-adds of a plain ViT: Swin, Swin V2 with and without LIFE, CAT and
DWNet with its three kernels.

Costs: 55 runs of 1,000 iterations.
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


def _kind(kind, **options):
    return {'model.backbone.type': kind} | {f'model.backbone.{k}': v for k, v in options.items()}


_cat = {'arch.embed_dims': 51, 'arch.depths': (1, 1), 'arch.num_heads': (3, 6)}
# Million multiply-adds behind each.
_arms = {
    'Swin V2': {},  # 48.7
    'Swin V2 LIFE, windows': _life('window'),  # 50.2
    'Swin V2 LIFE, grid': _life('grid'),  # 50.2
    'Swin': _kind('Swin'),  # 47.4
    'Swin LIFE, windows': _kind('Swin') | _life('window'),  # 48.9
    'Swin LIFE, grid': _kind('Swin') | _life('grid'),  # 48.9
    'CAT': _kind('CAT', **_cat) | {'model.head.in_channels': 102},  # 48.4
}
_dwnet = 'configs/glyphs/dwnet-d6w52_glyphs-cls.py'
_narrow = {
    f'{_arch}.embed_dims': 48,
    f'{_arch}.group_channels': (3, 6, 12),
    'model.head.in_channels': 192,
}
arms = [
    dict(name='DeiT', config='configs/glyphs/deit-d6w96_glyphs-cls.py'),  # 49.6
    *(dict(name=name, config=_pyramid, options=options) for name, options in _arms.items()),
    dict(name='DWNet', config=_dwnet),  # 47.9
    dict(
        name='dynamic DWNet', config=_dwnet, options={'model.backbone.kernel': 'homogeneous'}
    ),  # 49.3
    dict(
        name='I-D-DWNet',
        config=_dwnet,
        options=_narrow | {'model.backbone.kernel': 'inhomogeneous'},
    ),  # 48.2
]
control = 'Swin V2'
