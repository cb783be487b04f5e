# ImageNet-1k with a label map for every image of the training set. One command makes them:
#   python tools/dataset_converters/make_token_labels.py annotator.py annotator.pth --img-size 576 \
#       --out data/imagenet/token_labels
# where annotator.py is the config of any classifier that trains on data/imagenet.
_base_ = './imagenet_bs64_deit_224.py'

# The released order: flip and RandAugment on the whole image, the crop last.
_load, _crop, _flip, _augment, _erase = _base_.train_pipeline[:5]
train_pipeline = [
    _load,
    dict(
        type='LoadTokenLabels',
        store='data/imagenet/token_labels',
        images='data/imagenet/train',
        num_classes=1000,
    ),
    dict(type='TrackAffine', transforms=[_flip, _augment, _crop]),
    _erase,
    dict(type='PackTokenLabels'),
]
_load, _resize, _center, _pack = _base_.test_pipeline
# 224 px are nine tenths of the side.
test_pipeline = [_load, dict(_resize, scale=248), _center, _pack]

train_dataloader = dict(
    batch_size=128,
    # Every image once an epoch: no repeated augmentation.
    sampler=dict(_delete_=True, type='DefaultSampler', shuffle=True),
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(batch_size=128, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
tta_pipeline = [*test_pipeline[:-1], _base_.tta_pipeline[-1]]
