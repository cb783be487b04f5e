r"""Mask R-CNN over LIFE-ViT on scenes of 96 classes, from scratch and from glyphs.

Needs: the run `--arms glyphs --x 3000 --seeds 0` of the study pretraining, and glyph scenes.
Costs: 12 runs of 600 iterations.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/transfer_classes.py \
        --workers 2
"""

_base_ = './transfer_det.py'

_config = 'configs/glyphs/mask-rcnn_life-d6w96_glyphs-det.py'

title = 'Mask R-CNN over LIFE-ViT on 96 classes, from scratch and from glyphs'
question = (
    'Does pre-training pay more where a detector has 96 classes to tell apart and not ten? Scenes '
    'are of the glyphs that the classifier knows; both arms train 600 iterations of 4 scenes with '
    'the settings of the config.'
)
x = dict(
    _delete_=True,
    name='training scenes',
    log=True,
    values=[dict(value=100), dict(value=1500)],
)
iterations = 600
sweep = None
arms = [dict(arm, config=_config) for arm in _base_.arms]
options = {
    'test_evaluator': dict(ann_file='data/glyph_scenes/detection/annotations/instances_val.json')
}
