# What linear layers on frozen features train with (DINOv2, arXiv 2304.07193): 40k iterations, AdamW
# 1e-3, hardly any weight decay, a warm-up and a line down to zero.
_base_ = './ade20k_160k_adamw.py'

optim_wrapper = dict(optimizer=dict(lr=1e-3, weight_decay=1e-4))
_warmup, _poly = _base_.param_scheduler
param_scheduler = [_warmup, dict(_poly, end=40000)]
train_cfg = dict(max_iters=40000, val_interval=4000)
