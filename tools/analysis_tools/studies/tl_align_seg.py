"""UPerNet over LIFE-ViTs that were trained with CutMix and with TL-Align.

Needs: the study tl_align_life with the same seeds, whose runs it starts from.
Costs: 6 runs; 18 such runs of the segmentation study took 27 minutes on two CPU cores.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/tl_align_seg.py --workers 2
"""

_base_ = './segmentation.py'  # metrics, schedule and the budget of every run


def _arm(name, run):
    """Fine-tune the backbone of a run of the study tl_align_life."""
    checkpoint = f'{{studies}}/tl_align_life/{run}_6000_seed{{seed}}/final.pth'
    options = {'model.backbone.init_cfg.checkpoint': checkpoint}
    return dict(name=name, config=_base_._config, options=options)


title = 'UPerNet over LIFE-ViT from CutMix and from TL-Align'
question = (
    'Is a backbone trained with aligned labels a better start for a segmentor? Both arms train it '
    f'for {_base_.iterations} iterations of 4 scenes; each starts from the LIFE-ViT that the '
    'study tl_align_life trained with the same seed on all images.'
)
x = dict(values=[dict(value=1500)])
arms = [_arm('CutMix', 'cutmix'), _arm('TL-Align', 'tl-align')]
control = 'CutMix'
