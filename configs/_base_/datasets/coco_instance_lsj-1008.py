# As at 1,024 px, at the multiple of 14 next to it whose 72 patches a side windows of 18 divide.
_base_ = './coco_instance_lsj-1024.py'

side = 1008
_resized = dict(
    RandomResize=dict(scale=(side, side)),
    Resize=dict(scale=(side, side)),
    RandomCrop=dict(crop_size=(side, side)),
)
train_pipeline = [dict(step, **_resized.get(step['type'], {})) for step in _base_.train_pipeline]
test_pipeline = [dict(step, **_resized.get(step['type'], {})) for step in _base_.test_pipeline]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
