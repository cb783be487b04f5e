# As in 512 px crops, in those of 37 x 37 patches of 14 px.
_base_ = './ade20k_512x512.py'

_resized = dict(
    RandomResize=dict(scale=(2072, 518)),
    Resize=dict(scale=(2072, 518)),
    RandomCrop=dict(crop_size=(518, 518)),
)
train_pipeline = [dict(step, **_resized.get(step['type'], {})) for step in _base_.train_pipeline]
test_pipeline = [dict(step, **_resized.get(step['type'], {})) for step in _base_.test_pipeline]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
