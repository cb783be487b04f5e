# LV-ViT's schedule at batch 1024: learning rate 1.6e-3, from 1e-6 over 5 epochs, down to 1e-5
# along a cosine, and 10 epochs there; no gradient clipping.
_base_ = './imagenet_bs512_adamw_deit.py'

lr = 1.6e-3
optim_wrapper = dict(optimizer=dict(lr=lr))

_warmup, _cosine = _base_.param_scheduler
param_scheduler = [
    dict(_warmup, start_factor=1e-6 / lr),
    dict(_cosine, eta_min_ratio=1e-5 / lr),
    dict(type='ConstantLR', factor=1.0, by_epoch=True, begin=300, end=310),
]

train_cfg = dict(max_epochs=310)
# What the released code evaluates and publishes is the average (0.99992) of the weights.
custom_hooks = [
    dict(type='EMAHook', momentum=8e-5, update_buffers=True, priority='ABOVE_NORMAL'),
]

auto_scale_lr = dict(base_batch_size=1024)
