r"""UPerNet over LIFE-ViT from four starts, at the settings that a sweep chose for two of them.

Needs: as transfer_starts.py.
Costs: 20 runs of two minutes on one CPU core beside another.
Command::

    python tools/analysis_tools/study.py tools/analysis_tools/studies/transfer_starts_seg.py \
        --seeds 0 1 2 3 4 --workers 2
"""

_base_ = './transfer_starts.py'

title = 'UPerNet over LIFE-ViT: two ways to start from scratch, two from glyphs'
question = (
    'How much of what pre-training brings depends on how weights are drawn without it, and on what '
    'the classifier classified, the mean of its patches or its class token? All arms train with '
    'the settings that the sweep of transfer_seg chose for both of its own.'
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
