"""UPerNet over LIFE-ViTs that were trained with CutMix and with TL-Align.

Needs: the study tl_align_life with the same seeds, whose runs it starts from.
Costs: 6 runs of three minutes on one CPU core each.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/tl_align_seg.py --workers 2
"""

_base_ = './tl_align_det.py'  # the number of scenes and what the arms start from

iterations = 400  # the budget of every run; batch 4

title = 'UPerNet over LIFE-ViT from CutMix and from TL-Align'
question = (
    'Is a backbone trained with aligned labels a better start for a segmentor? Both arms train it '
    f'for {iterations} iterations of 4 scenes; each starts from the LIFE-ViT that the '
    'study tl_align_life trained with the same seed on all images.'
)
metrics = [dict(key='mIoU', name='mean IoU', unit='%')]
arms = [dict(arm, config='configs/digits/upernet_life-d6w96_digits-seg.py') for arm in _base_.arms]
