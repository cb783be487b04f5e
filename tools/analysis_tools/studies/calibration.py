r"""LIFE-ViTs that go on training: with nothing more, and with each way to calibrate them.

Needs: all runs of the study calibration_bases with the same seeds, and label maps of its three data
sets; those of configs/_base_/datasets/digits_token-labels.py, and the same command with
data/digit_scenes_ground and data/digit_scenes_digit in the place of data/digit_scenes.
Costs: 150 runs of 300 iterations.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/calibration.py \
        --seeds 0 1 2 3 4 --workers 2
"""

iterations = 300

title = 'Calibrating LIFE-ViT on digits with and without shortcuts'
question = (
    'Does it help a trained classifier to be told what its decisions shall rest on, beyond what as '
    f'many iterations more bring it anyway? All arms go on from the same classifier for '
    f'{iterations} iterations at a tenth of its learning rate; blank has no loss but that of the '
    'labels. Where there are two stages, each has half of the iterations.'
)
metrics = [dict(key='accuracy/top1', name='top-1 accuracy', unit='%')]

_labels = 'train_dataloader.dataset.pipeline.1'


def _point(value, root):
    data = f'data/{root}/classification'
    run = f'life_{value.replace(" ", "-")}_seed{{seed}}'
    parts = ('train', 'val', 'test')
    return dict(
        value=value,
        options={
            **{f'{part}_dataloader.dataset.data_root': f'{data}/' for part in parts},
            f'{_labels}.store': f'{data}/token_labels',
            f'{_labels}.images': f'{data}/train',
            'load_from': f'{{studies}}/calibration_bases/{run}/final.pth',
        },
    )


x = dict(
    name='what tells the class beside the digit',
    values=[
        _point('nothing', 'digit_scenes'),
        _point('ground', 'digit_scenes_ground'),
        _point('second digit', 'digit_scenes_digit'),
    ],
)


def _arm(name, *stages, **options):
    """An arm whose stages have these losses; two share the iterations."""
    begins = (0, iterations // 2)
    stages = [dict(begin=b, losses=[*s]) for b, s in zip(begins, stages, strict=False)]
    hook = {'custom_hooks.0.stages': stages, 'custom_hooks.0.by_epoch': False}
    return dict(
        name=name,
        config='configs/digits/calibrated-life-d6w96_digits-cls.py',
        options={**hook, **options},
    )


def _control(kind):
    return {'model.calibration.dimension.control': kind}


_automatic = {'model.foreground': dict(type='AutomaticForeground')}
arms = [
    _arm('blank', ()),
    _arm('token', ('token',)),
    _arm('dimension', ('dimension',)),
    _arm('token, then dimension', ('token',), ('dimension',)),
    _arm('dimension, then token', ('dimension',), ('token',)),
    _arm('both at once', ('token', 'dimension')),
    _arm('dimensions at random', ('dimension',), **_control('random')),
    _arm("another class's dimensions", ('dimension',), **_control('shuffled')),
    _arm('token, automatic', ('token',), **_automatic),
    _arm('token, then dimension, automatic', ('token',), ('dimension',), **_automatic),
]
control = 'blank'
# The sampler counts no epochs where the schedule counts iterations.
options = {'train_dataloader.sampler.type': 'InfiniteSampler'}
