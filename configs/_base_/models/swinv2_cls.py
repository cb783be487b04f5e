# Swin V2-T with windows of 8 at 256 px: a pyramid whose last map is averaged and classified.
_base_ = './swin_cls.py'

model = dict(
    backbone=dict(_delete_=True, type='SwinV2', arch='tiny', img_size=256, drop_path_rate=0.2)
)
