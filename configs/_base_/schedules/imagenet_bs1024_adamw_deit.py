# DeiT's schedule at batch 1024: learning rate 5e-4 x batch / 512 = 1e-3, otherwise that of batch
# 512: from 1e-6 over 5 epochs, down to 1e-5 along a cosine.
_base_ = './imagenet_bs512_adamw_deit.py'

optim_wrapper = dict(optimizer=dict(lr=1e-3))

_warmup, _cosine = _base_.param_scheduler
param_scheduler = [
    dict(_warmup, start_factor=1e-6 / 1e-3),
    dict(_cosine, eta_min_ratio=1e-5 / 1e-3),
]

auto_scale_lr = dict(base_batch_size=1024)
