# COCO 2017 with boxes alone. Layout as in coco_instance.py.
_base_ = './coco_instance.py'

_boxes = dict(type='LoadAnnotations', with_bbox=True)


def _without_masks(pipeline):
    return [_boxes if step['type'] == 'LoadAnnotations' else step for step in pipeline]


train_pipeline = _without_masks(_base_.train_pipeline)
test_pipeline = _without_masks(_base_.test_pipeline)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
val_evaluator = dict(metric='bbox')
test_evaluator = val_evaluator
