r"""LIFE-ViTs on glyphs and on digits: what the transfer studies start from.

Needs: `python tools/dataset_converters/glyph_scenes.py` and `…/digit_scenes.py`.
Costs: 10 minutes on one CPU core for 3,000 iterations.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/pretraining.py \
        --seeds 0 --workers 2
"""

_glyphs = 'configs/glyphs/life-d6w96_glyphs-cls.py'
_digits = 'configs/digits/life-d6w96_digits-cls.py'
# The configs classify the class token, since it was found to be the better start for transfer.
_mean = {'model.backbone.out_type': 'avg_featmap'}

title = 'What transfer starts from: LIFE-ViT on glyphs and digits'
question = (
    'How well do the classifiers know their images whose backbones the transfer studies reuse? '
    'Glyphs have 96 classes and 12,000 images, digits 10 classes and 6,000 images.'
)
metrics = [dict(key='accuracy/top1', name='top-1 accuracy', unit='%')]
x = dict(
    name='iterations of 32 images',
    log=True,
    values=[dict(value=n, iterations=n) for n in (500, 3000, 12000)],
)
arms = [
    dict(name='glyphs', config=_glyphs, options=_mean, keep_checkpoint=True),
    dict(name='glyphs class token', config=_glyphs, keep_checkpoint=True),
    dict(name='digits', config=_digits, options=_mean, keep_checkpoint=True),
]
control = 'glyphs'
# The sampler counts no epochs where the schedule counts iterations.
options = {'train_dataloader.sampler.type': 'InfiniteSampler'}
