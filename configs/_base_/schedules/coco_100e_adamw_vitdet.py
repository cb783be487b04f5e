# ViTDet's schedule at batch 64: AdamW 1e-4, weight decay 0.1, layer-wise rates of 0.7, 250
# iterations of warm-up, steps at 8/9 and 26/27 of 100 epochs.
_base_ = './coco_1x_adamw.py'

optim_wrapper = dict(optimizer=dict(weight_decay=0.1), paramwise_cfg=dict(layer_decay_rate=0.7))
_warmup, _steps = _base_.param_scheduler
param_scheduler = [dict(_warmup, end=250), dict(_steps, end=100, milestones=[89, 96])]
train_cfg = dict(max_epochs=100, val_interval=10)
auto_scale_lr = dict(base_batch_size=64)
