"""Mask R-CNN over LIFE-ViTs that were trained with CutMix and with TL-Align.

Needs: the study tl_align_life with the same seeds, whose runs it starts from.
Costs: 6 runs of three minutes on one CPU core each.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/tl_align_det.py --workers 2
"""

iterations = 300  # the budget of every run; batch 4


def _arm(name, run):
    """Fine-tune the backbone of a run of the study tl_align_life."""
    checkpoint = f'{{studies}}/tl_align_life/{run}_6000_seed{{seed}}/final.pth'
    options = {'model.backbone.init_cfg.checkpoint': checkpoint}
    config = 'configs/digits/mask-rcnn_life-d6w96_digits-det.py'
    return dict(name=name, config=config, options=options)


title = 'Mask R-CNN over LIFE-ViT from CutMix and from TL-Align'
question = (
    'Is a backbone trained with aligned labels a better start for a detector? Both arms train it '
    f'for {iterations} iterations of 4 scenes; each starts from the LIFE-ViT that the '
    'study tl_align_life trained with the same seed on all images.'
)
metrics = [
    dict(key='coco/bbox_mAP', name='box AP', unit='%', scale=100),
    dict(key='coco/segm_mAP', name='mask AP', unit='%', scale=100),
]
x = dict(name='training scenes', log=True, values=[dict(value=1500)])
subset = dict(key='train_dataloader.dataset.indices', total=1500)
arms = [_arm('CutMix', 'cutmix'), _arm('TL-Align', 'tl-align')]
control = 'CutMix'
