"""The schedule FSFS|FFFFFF, found by a search: F has an attention map of its own,
S shares that of the layer before, tokens are pooled at each bar.

Reproduces: the choice of
    python tools/search.py tools/searches/digits.py --workers 2 --exhaustive
Command: python tools/train.py docs/search/digits/digits_found.py
"""

_base_ = '../../../configs/digits/psvit-d8w96-144_digits-cls.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='PSViT',
        img_size=64,
        patch_size=8,
        drop_path_rate=0.0,
        out_type='cls_token',
        num_aux_tokens=1,
        pooling='2d',
        init_cfg=[
            {'type': 'Xavier', 'layer': 'Linear'},
            {'type': 'Kaiming', 'layer': 'Conv2d', 'mode': 'fan_in', 'nonlinearity': 'linear'},
        ],
        stages=[
            {'depth': 4, 'embed_dims': 78, 'num_heads': 3, 'pattern': 'FSFS'},
            {'depth': 6, 'embed_dims': 144, 'num_heads': 4, 'pattern': 'FFFFFF'},
        ],
    )
)
