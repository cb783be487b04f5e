# As CAT's schedule of 160k iterations, half as long.
_base_ = './ade20k_160k_adamw_cat.py'

_warmup, _poly = _base_.param_scheduler
param_scheduler = [_warmup, dict(_poly, end=80000)]
train_cfg = dict(max_iters=80000, val_interval=8000)
