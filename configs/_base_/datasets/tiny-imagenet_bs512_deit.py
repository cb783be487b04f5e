# Tiny-ImageNet at its own 64 px with DeiT's augmentation. Expected, as it is distributed:
#   data/tiny-imagenet-200/train/n01443537/images/*.JPEG ...
# and of the validation images, which come in one folder, a list of files and classes:
#   python tools/dataset_converters/tiny_imagenet.py data/tiny-imagenet-200
_base_ = './imagenet_bs64_deit_224.py'

dataset_type = 'CustomDataset'
data_root = 'data/tiny-imagenet-200'
data_preprocessor = dict(num_classes=200)

train_pipeline = _base_.train_pipeline
train_pipeline[1].update(scale=64)
test_pipeline = [
    dict(type='LoadImageFromFile'),
    # Images of the data set are of this size; others come from an inferencer's user.
    dict(type='Resize', scale=64, backend='pillow', interpolation='bicubic'),
    dict(type='PackInputs'),
]
tta_pipeline = [*test_pipeline[:-1], _base_.tta_pipeline[-1]]

train_dataloader = dict(
    batch_size=512,
    dataset=dict(
        _delete_=True,
        type=dataset_type,
        data_root=data_root,
        data_prefix='train',
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=512,
    dataset=dict(
        _delete_=True,
        type=dataset_type,
        data_root=data_root,
        data_prefix='val/images',
        ann_file='meta/val.txt',
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
