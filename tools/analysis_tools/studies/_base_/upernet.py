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
# What their sweeps choose on, and what they try besides the common candidates, of which the lowest
# rate was the best for both arms of transfer_seg.
_held_out = {
    'test_dataloader.dataset.data_prefix': dict(
        img_path='images/training', seg_map_path='annotations/training'
    ),
    'test_dataloader.dataset.indices': [*range(1200, 1500)],
}
_lower = dict(
    name='lr 0.000375, decay 0.05, backbone x1',
    options={
        'optim_wrapper.optimizer.lr': 3.75e-4,
        'optim_wrapper.optimizer.weight_decay': 0.05,
        'optim_wrapper.paramwise_cfg': dict(backbone_lr_mult=1.0),
    },
)
