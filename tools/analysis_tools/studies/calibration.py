r"""LIFE-ViTs that go on training: with nothing more, and with each way to calibrate them.

Needs: all runs of the study calibration_bases with the same seeds, and label maps of its three data
sets; those of configs/_base_/datasets/digits_token-labels.py, and with NAME ground and digit
`python tools/dataset_converters/make_token_labels.py configs/digits/life-d6w96_digits-cls.py
--cfg-options train_dataloader.dataset.data_root=data/digit_scenes_NAME/classification/
--from-masks data/digit_scenes_NAME/classification/masks/train --num-classes 10 --grid 16 16
--out data/digit_scenes_NAME/classification/token_labels`.
Costs: 150 runs of 600 iterations; `--x nothing ground` leaves a third of them out.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/calibration.py \
        --seeds 0 1 2 3 4 --workers 2

The picture of what decisions rest on, docs/calibration.png::

    python tools/visualization/decisions.py configs/digits/calibrated-life-d6w96_digits-cls.py \
        before=work_dirs/study/calibration_bases/life_ground_seed0/final.pth \
        blank=work_dirs/study/calibration/blank_ground_seed0/final.pth \
        calibrated=work_dirs/study/calibration/token-then-dimension_ground_seed0/final.pth \
        --shown 8 --out docs/calibration.png --cfg-options \
    train_dataloader.dataset.data_root=data/digit_scenes_ground/classification/ \
    train_dataloader.dataset.pipeline.1.store=data/digit_scenes_ground/classification/token_labels \
    train_dataloader.dataset.pipeline.1.images=data/digit_scenes_ground/classification/train
"""

iterations = 600

title = 'Calibrating LIFE-ViT on digits with and without shortcuts'
question = (
    'Does it help a trained classifier to be told what its decisions shall rest on, beyond what as '
    f'many iterations more bring it anyway? All arms go on from the same classifier for '
    f'{iterations} iterations at the learning rate that it had; blank has no loss but that of the '
    'labels. Where there are two stages, each has half of the iterations, the second one that in '
    'which the rate falls to zero. Relevance of tokens is asked of the first layer; this and the '
    'rate were chosen by a seed of none of these runs, on validation images whose ground says '
    'nothing. The study calibration_choices compares them.'
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
        keep_checkpoint=True,
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
options = {
    # The sampler counts no epochs where the schedule counts iterations.
    'train_dataloader.sampler.type': 'InfiniteSampler',
    'optim_wrapper.optimizer.lr': 1e-3,
    'model.calibration.token.layers': (0,),
}
