r"""A LIFE-ViT on digit scenes of each difficulty: from which on does it learn nothing?

Needs: for NAME in easy, medium, demanding and hard, `python
tools/dataset_converters/digit_scenes.py --difficulty NAME --train 1 --val 1
--out data/digit_scenes_NAME`.
Costs: 12 runs of 4 minutes on one CPU core.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/difficulty.py --workers 2
"""

title = 'How difficult the difficulties are'
question = (
    'What does a small ViT know of single digits after 1,500 iterations of 32 images, of which '
    'there are 6,000, drawn with each difficulty? Guessing is right in 10 %.'
)
iterations = 1500
metrics = [dict(key='accuracy/top1', name='top-1 accuracy', unit='%')]
x = dict(name='training images', values=[dict(value=6000)])


def _arm(difficulty):
    root = f'data/digit_scenes_{difficulty}/classification/'
    return dict(
        name=difficulty,
        config='configs/digits/life-d6w96_digits-cls.py',
        options={f'{part}_dataloader.dataset.data_root': root for part in ('train', 'val', 'test')},
    )


arms = [_arm('easy'), _arm('medium'), _arm('demanding'), _arm('hard')]
control = 'medium'
# The sampler counts no epochs where the schedule counts iterations.
options = {'train_dataloader.sampler.type': 'InfiniteSampler'}
