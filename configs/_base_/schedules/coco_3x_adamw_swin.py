# As the 1x schedule of Swin's detectors, three times as long: 36 epochs, steps at 27 and 33.
_base_ = './coco_1x_adamw_swin.py'

_warmup, _steps = _base_.param_scheduler
param_scheduler = [_warmup, dict(_steps, end=36, milestones=[27, 33])]
train_cfg = dict(max_epochs=36)
