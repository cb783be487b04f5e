"""UPerNet over LIFE-ViT, from scratch and pre-trained, by the number of training scenes.

Needs: the classification study with the same seeds, whose LIFE runs it starts from.
Costs: 18 runs of the same number of iterations, 27 minutes on two CPU cores, measured here.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/segmentation.py --workers 2
"""

_base_ = './detection.py'  # the numbers of scenes and what both arms start from

_config = 'configs/digits/upernet_life-d6w96_digits-seg.py'
iterations = 400  # the budget of every run, whatever its number of scenes; batch 4

title = 'UPerNet over LIFE-ViT from scratch and pre-trained, by the number of training scenes'
question = (
    'Where does pre-training on single digits pay? Both arms train the segmentor for '
    f'{iterations} iterations of 4 scenes at every number of scenes; the pre-trained arm starts '
    'from the LIFE-ViT that the classification study trained with the same seed on all images.'
)
metrics = [dict(key='mIoU', name='mean IoU', unit='%')]
arms = [dict(arm, config=_config) for arm in _base_.arms]
