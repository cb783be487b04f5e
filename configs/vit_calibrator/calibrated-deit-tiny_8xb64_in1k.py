"""DeiT-T on ImageNet-1k, calibrated: ten epochs of token, then ten of dimension propagation.

Reproduces: nothing; the paper's recipe is not known to us. Schedule and foreground are our design.
Needs: the weights of ../deit/deit-tiny_8xb64_in1k.py. The foreground is the model's own roll-out;
    with masks, SuppliedForeground and label maps of them are better (README.md beside this).
Costs: those of the classifier; a step takes longer than a plain one (docs/benchmark.md). Training
    time was not measured.
Command (automatic mixed precision; relevance stays in float32):
    bash tools/dist_train.sh configs/vit_calibrator/calibrated-deit-tiny_8xb64_in1k.py 8 --amp
"""

_base_ = '../deit/deit-tiny_8xb64_in1k.py'
# 1,281,167 images / (8 x 64) = 2,503 iterations an epoch; x 20 epochs = 50,060 iterations.

load_from = 'work_dirs/deit-tiny_8xb64_in1k/epoch_300.pth'
model = dict(
    type='CalibratedClassifier',
    calibration=dict(
        token=dict(type='TokenPropagation'),
        dimension=dict(type='DimensionPropagation'),
    ),
    foreground=dict(type='AutomaticForeground'),
    # An image is of one class here, and has one foreground.
    train_cfg=dict(augments=None),
)
stages = [dict(losses=['token']), dict(begin=10, losses=['dimension'])]
custom_hooks = [dict(type='CalibrationHook', stages=stages)]
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
