r"""LIFE-ViTs on digit scenes with and without a shortcut: what the study calibration starts from.

Needs: digit scenes, plain and with the shortcuts, `python
tools/dataset_converters/digit_scenes.py --shortcut NAME --train 1 --val 1
--out data/digit_scenes_NAME` with NAME ground and digit.
Costs: 15 runs of 1,000 iterations.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/calibration_bases.py \
        --seeds 0 1 2 3 4 --workers 2
"""

iterations = 1000

title = 'What calibration starts from: LIFE-ViT on digits with and without shortcuts'
question = (
    'How far does a shortcut mislead a classifier? In 95 % of the training images, and in no '
    'validation image, the ground, or a second and smaller digit, tells the class; all are 6,000 '
    'images. Beside a second digit the first is a fifth smaller, so that accuracies there are not '
    'those of the other two.'
)
metrics = [dict(key='accuracy/top1', name='top-1 accuracy', unit='%')]


def _point(value, root):
    data = f'data/{root}/classification/'
    parts = ('train', 'val', 'test')
    options = {f'{part}_dataloader.dataset.data_root': data for part in parts}
    return dict(value=value, options=options)


x = dict(
    name='what tells the class beside the digit',
    values=[
        _point('nothing', 'digit_scenes'),
        _point('ground', 'digit_scenes_ground'),
        _point('second digit', 'digit_scenes_digit'),
    ],
)
arms = [dict(name='LIFE', config='configs/digits/life-d6w96_digits-cls.py', keep_checkpoint=True)]
control = 'LIFE'
# The sampler counts no epochs where the schedule counts iterations.
options = {'train_dataloader.sampler.type': 'InfiniteSampler'}
