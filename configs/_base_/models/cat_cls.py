# CAT-S at 224 px: a pyramid whose last map is averaged and classified.
_base_ = './swin_cls.py'

model = dict(
    backbone=dict(_delete_=True, type='CAT', arch='small', img_size=224, drop_path_rate=0.2)
)
