# What the studies of segmentors have in common, for them to read.
_segmentor = 'configs/digits/upernet_life-d6w96_digits-seg.py'
_metrics = [
    dict(key='mIoU', name='mean IoU', unit='%'),
    dict(key='mAcc', name='mean accuracy', unit='%', report='detail'),
]
# The decode head of the config is narrower since.
_width = {'model.decode_head.channels': 64}
# What the sweep of transfer_seg chose for both of its arms.
_tuned = {
    '_delete_': True,
    **_width,
    'optim_wrapper.optimizer.lr': 7.5e-4,
    'optim_wrapper.optimizer.weight_decay': 0.05,
    'optim_wrapper.paramwise_cfg': dict(backbone_lr_mult=1.0),
}
