"""Mask R-CNN over LIFE-ViT, from scratch and pre-trained, by the number of training scenes.

Needs: the classification study with the same seeds, whose LIFE runs it starts from.
Costs: 18 runs of the same number of iterations, 27 minutes on two CPU cores, measured here.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/detection.py --workers 2
"""

_config = 'configs/digits/mask-rcnn_life-d6w96_digits-det.py'
iterations = 300  # the budget of every run, whatever its number of scenes; batch 4
# What the pre-trained weights themselves started from.
_init = [
    dict(type='Xavier', layer='Linear'),
    dict(type='Kaiming', layer='Conv2d', mode='fan_in', nonlinearity='linear'),
]

title = 'Mask R-CNN over LIFE-ViT from scratch and pre-trained, by the number of training scenes'
question = (
    'Where does pre-training on single digits pay? Both arms train the detector for '
    f'{iterations} iterations of 4 scenes at every number of scenes; the pre-trained arm starts '
    'from the LIFE-ViT that the classification study trained with the same seed on all images.'
)
metrics = [
    dict(key='coco/bbox_mAP', name='box AP', unit='%', scale=100),
    dict(key='coco/segm_mAP', name='mask AP', unit='%', scale=100),
]
x = dict(
    name='training scenes',
    log=True,
    values=[dict(value=100), dict(value=300), dict(value=1500)],
)
subset = dict(key='train_dataloader.dataset.indices', total=1500)
arms = [
    dict(name='from scratch', config=_config, options={'model.backbone.init_cfg': _init}),
    dict(
        name='pre-trained',
        config=_config,
        options={
            'model.backbone.init_cfg.checkpoint': '{studies}/classification/'
            'life_6000_seed{seed}/final.pth'
        },
    ),
]
control = 'from scratch'
