"""DeiT and LIFE on single-digit scenes, by the number of training scenes.

Costs: 18 runs of the same number of iterations, 25 minutes on two CPU cores, measured here.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/classification.py --workers 2
"""

iterations = 500  # the budget of every run, whatever its number of scenes; batch 32

title = 'LIFE and DeiT, by the number of training scenes'
question = (
    'Does local information in the projection help a small ViT, and does it help more where data '
    f'is scarce? Both models train {iterations} iterations of 32 images at every number of scenes.'
)
metrics = [dict(key='accuracy/top1', name='top-1 accuracy', unit='%')]
x = dict(
    name='training scenes',
    log=True,
    values=[dict(value=600), dict(value=1800), dict(value=6000)],
)
subset = dict(key='train_dataloader.dataset.indices', total=6000)
arms = [
    dict(name='DeiT', config='configs/digits/deit-d6w96_digits-cls.py'),
    dict(name='LIFE', config='configs/digits/life-d6w96_digits-cls.py'),
]
control = 'DeiT'
# The configs classify the class token, since it was found to be the better start for transfer.
options = {'model.backbone.out_type': 'avg_featmap'}
