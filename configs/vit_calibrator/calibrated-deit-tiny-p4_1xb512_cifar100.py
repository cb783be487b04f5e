"""DeiT-T with 4 px patches on CIFAR-100, calibrated: twenty epochs of dimension propagation.

Reproduces: nothing; the paper has CIFAR-100, but its recipe is not known to us. As in the works of
    the same group, images of 32 px have no foreground to speak of, so the first stage is left out.
Needs: the weights of ../deit/deit-tiny-p4_1xb512_cifar100.py.
Costs: those of the classifier; training time was not measured.
Command (automatic mixed precision; relevance stays in float32):
    python tools/train.py configs/vit_calibrator/calibrated-deit-tiny-p4_1xb512_cifar100.py --amp
"""

_base_ = '../deit/deit-tiny-p4_1xb512_cifar100.py'
# 50,000 images / 512 = 98 iterations an epoch; x 20 epochs = 1,960 iterations.

load_from = 'work_dirs/deit-tiny-p4_1xb512_cifar100/epoch_300.pth'
model = dict(
    type='CalibratedClassifier',
    calibration=dict(dimension=dict(type='DimensionPropagation')),
    train_cfg=dict(augments=None),
)
custom_hooks = [dict(type='CalibrationHook', stages=[dict(losses=['dimension'])])]
# A tenth of the classifier's, over 20 epochs.
optim_wrapper = dict(optimizer=dict(lr=5e-5))
param_scheduler = [
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=0.01,
        by_epoch=True,
        begin=0,
        end=20,
        convert_to_iter_based=True,
    )
]
train_cfg = dict(max_epochs=20)
