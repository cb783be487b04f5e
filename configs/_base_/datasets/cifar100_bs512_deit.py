# CIFAR-100 at its own 32 px with DeiT's augmentation, but a padded crop in place of the resized
# one. Expected: data/cifar100/cifar-100-python/{train,test,meta}; nothing is downloaded.
default_scope = 'mmpretrain'
dataset_type = 'CIFAR100'
data_root = 'data/cifar100'
# The images are read as RGB already.
data_preprocessor = dict(
    num_classes=100,
    mean=[129.304, 124.070, 112.434],
    std=[68.170, 65.392, 70.418],
    to_rgb=False,
)
rgb_mean = data_preprocessor['mean']
rgb_std = data_preprocessor['std']

train_pipeline = [
    dict(type='RandomCrop', crop_size=32, padding=4),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    # rand-m9-mstd0.5-inc1
    dict(
        type='RandAugment',
        policies='timm_increasing',
        num_policies=2,
        total_level=10,
        magnitude_level=9,
        magnitude_std=0.5,
        hparams=dict(pad_val=[round(x) for x in rgb_mean], interpolation='bicubic'),
    ),
    dict(
        type='RandomErasing',
        erase_prob=0.25,
        mode='rand',
        min_area_ratio=0.02,
        max_area_ratio=1 / 3,
        fill_color=rgb_mean,
        fill_std=rgb_std,
    ),
    dict(type='PackInputs'),
]
test_pipeline = [
    # Images of the data set are of this size; others come from an inferencer's user.
    dict(type='Resize', scale=32, backend='pillow', interpolation='bicubic'),
    dict(type='PackInputs'),
]
tta_pipeline = [
    test_pipeline[0],
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='RandomFlip', prob=0.0), dict(type='RandomFlip', prob=1.0)],
            [dict(type='PackInputs')],
        ],
    ),
]
tta_model = dict(type='AverageClsScoreTTA')

train_dataloader = dict(
    batch_size=512,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    collate_fn=dict(type='default_collate'),
    # DeiT's repeated augmentation: each image three times in an epoch cut to its usual length.
    sampler=dict(type='RepeatAugSampler', num_repeats=3),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split='train',
        pipeline=train_pipeline,
        download=False,
    ),
)
val_dataloader = dict(
    batch_size=512,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    collate_fn=dict(type='default_collate'),
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split='test',
        pipeline=test_pipeline,
        download=False,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type='Accuracy', topk=(1, 5))
test_evaluator = val_evaluator
visualizer = dict(
    type='UniversalVisualizer',
    name='visualizer',
    vis_backends=[dict(type='LocalVisBackend')],
)
