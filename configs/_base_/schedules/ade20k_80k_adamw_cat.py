# CAT's schedule of 80k iterations: learning rate 6e-5, weight decay 0.05, no layer-wise rates.
_base_ = './ade20k_160k_adamw_swin.py'

optim_wrapper = dict(optimizer=dict(weight_decay=0.05))
_warmup, _poly = _base_.param_scheduler
param_scheduler = [_warmup, dict(_poly, end=80000)]
train_cfg = dict(max_iters=80000, val_interval=8000)
