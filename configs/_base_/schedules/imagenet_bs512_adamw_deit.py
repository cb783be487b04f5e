# DeiT's and LIFE's schedule: learning rate 5e-4 x batch / 512, from 1e-6 over 5 epochs, down to
# 1e-5 along a cosine; no gradient clipping.
# Their average of the weights (EMA 0.99996) is not here: both evaluate the raw weights, which the
# average does not touch, whereas EMAHook would put the average in its place in every checkpoint.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(
        type='AdamW',
        lr=5e-4,
        weight_decay=0.05,
        eps=1e-8,
        betas=(0.9, 0.999),
    ),
    # Rate 1: every layer learns alike; norms, biases, tokens and positions get no weight decay.
    constructor='mmpretrain.TokenViTLayerDecayConstructor',
    paramwise_cfg=dict(layer_decay_rate=1.0),
)

param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-6 / 5e-4,
        by_epoch=True,
        begin=0,
        end=5,
        convert_to_iter_based=True,
    ),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=1e-5 / 5e-4,
        by_epoch=True,
        begin=5,
        end=300,
        T_max=295,
        convert_to_iter_based=True,
    ),
]

train_cfg = dict(by_epoch=True, max_epochs=300, val_interval=1)
val_cfg = dict()
test_cfg = dict()

auto_scale_lr = dict(enable=False, base_batch_size=512)
