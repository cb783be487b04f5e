# Swin's schedule: learning rate 1e-3 at batch 1024, from 1e-6 over 20 epochs, down to 1e-5 along a
# cosine; gradients clipped.
_base_ = './imagenet_bs1024_adamw_deit.py'

optim_wrapper = dict(clip_grad=dict(max_norm=5.0))

_warmup, _cosine = _base_.param_scheduler
param_scheduler = [dict(_warmup, end=20), dict(_cosine, begin=20, T_max=280)]
