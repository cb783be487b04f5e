r"""UPerNet over LIFE-ViTs of the study token_labels: from image labels and from token labels.

Needs: as token_labels_det.py.
Costs: 45 runs of 600 iterations.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/token_labels_seg.py \
        --seeds 0 1 2 3 4 --workers 2
"""

_base_ = './token_labels_det.py'

title = 'UPerNet over LIFE-ViT, from image labels and from token labels'
question = (
    'Is a backbone a better start for a segmentor of digits where every patch of its glyphs had a '
    'label, be it from an annotator or from masks? Each run starts from the LIFE-ViT that the '
    'study token_labels trained with the same seed; all arms train with the settings that the '
    'sweep of transfer_seg chose for both of its own.'
)
metrics = [
    dict(key='mIoU', name='mean IoU', unit='%'),
    dict(key='mAcc', name='mean accuracy', unit='%', report='detail'),
]
arms = [dict(arm, config='configs/digits/upernet_life-d6w96_digits-seg.py') for arm in _base_.arms]
options = {
    '_delete_': True,
    'model.decode_head.channels': 64,
    'optim_wrapper.optimizer.lr': 7.5e-4,
    'optim_wrapper.optimizer.weight_decay': 0.05,
    'optim_wrapper.paramwise_cfg': dict(backbone_lr_mult=1.0),
}
