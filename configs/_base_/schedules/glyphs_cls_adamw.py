# 3,000 iterations of 32 images: AdamW, a warm-up of 300, a cosine to zero.
_base_ = './digits_dense_adamw.py'

param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=300),
    dict(type='CosineAnnealingLR', eta_min_ratio=0.0, by_epoch=False, begin=300, end=3000),
]

train_cfg = dict(max_iters=3000, val_interval=1000)

auto_scale_lr = dict(base_batch_size=32)
