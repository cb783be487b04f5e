# Iterations, not epochs, so that a study can change the number of scenes and keep the budget.
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='mmpretrain.TokenViTLayerDecayConstructor',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=1.0),
)

param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=200),
    dict(type='CosineAnnealingLR', eta_min_ratio=0.0, by_epoch=False, begin=200, end=2000),
]

train_cfg = dict(type='IterBasedTrainLoop', max_iters=2000, val_interval=1000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
log_processor = dict(by_epoch=False)

auto_scale_lr = dict(enable=False, base_batch_size=4)
