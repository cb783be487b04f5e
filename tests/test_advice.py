"""What an error advises works when it is followed, word by word.

Errors whose advice is computed are followed by what they say in the tests of their modules; those
of data and checkpoints, too.
"""

import pytest
import torch
from mmpretrain.registry import MODELS

from mmtoken.convert import SOURCES, convert_state_dict
from mmtoken.datasets import DigitDataOptions, GlyphDataOptions
from mmtoken.datasets.scene_options import DIFFICULTIES
from mmtoken.dense import SimpleFeaturePyramid, TokenViTLayerDecayConstructor
from mmtoken.errors import UserError
from mmtoken.life import LIFEProjection
from mmtoken.mixing import PatchCutMix
from mmtoken.rollout import DenseRolloutHook
from mmtoken.rollout.explicit import FUSIONS, check_fusion
from mmtoken.rollout.token_sets import WEIGHTS
from mmtoken.vit import TokenViT
from mmtoken.vit.arguments import OUT_TYPES

ARCH = dict(embed_dims=24, num_layers=3, num_heads=3, feedforward_channels=48)
HEAD = dict(type='VisionTransformerClsHead', num_classes=5, in_channels=24)
BACKBONE = dict(arch=ARCH, img_size=16, patch_size=4)
CLASSIFIER = dict(type='TLAlignClassifier', backbone=dict(type='TokenViT', **BACKBONE), head=HEAD)
IMAGES = torch.zeros(2, 3, 16, 16)


def vit(**options):
    return TokenViT(**(BACKBONE | options))(IMAGES)


def carried(size=17, start=0):
    return TokenViT(**BACKBONE)(IMAGES, torch.zeros(2, size, 1), start)


def projection(**options):
    return LIFEProjection(24, **options)


def pyramid(**options):
    return SimpleFeaturePyramid(24, 8, **(dict(patch_size=4) | options))


def decayed(**paramwise_cfg):
    optimizer = dict(optimizer=dict(type='AdamW', lr=1e-3))
    return TokenViTLayerDecayConstructor(optimizer, paramwise_cfg)(MODELS.build(CLASSIFIER))


def converted(name='norm.bias', source='deit'):
    return convert_state_dict({name: torch.zeros(1)}, source)


def cutmix(**options):
    return PatchCutMix(**(dict(patch_size=4) | options))


def aligned(images=IMAGES, backbone=None, **options):
    chosen = dict(type='TokenViT') | (backbone or {})
    if 'arch' not in chosen:
        chosen |= BACKBONE
    return MODELS.build(CLASSIFIER | dict(backbone=chosen) | options)(images)


CUTMIX = dict(type='CutMix', alpha=1.0)
HEAD_OF_TWO = dict(type='DeiTClsHead', num_classes=5, in_channels=24)
HEAD_OF_ITS_OWN = dict(type='ArcFaceClsHead', num_classes=5, in_channels=24)
MAP = dict(out_type='featmap')
# By what is called: wrong arguments, what the error advises, and changes that follow the advice.
CASES = {
    vit: [
        (dict(arch='deit-x'), "one of .*'deit-tiny'.* or a dict", dict(arch='deit-tiny')),
        (dict(arch='deit-x'), "one of .*'deit-tiny'.* or a dict", dict(arch=ARCH)),
        (dict(arch=dict(depth=3)), f'exactly .*{".*".join(sorted(ARCH))}', dict(arch=ARCH)),
        (dict(arch=ARCH | dict(num_heads=5)), 'change one', dict(arch=ARCH | dict(num_heads=4))),
        (
            dict(arch=ARCH | dict(num_heads=5)),
            'change one',
            dict(arch=ARCH | dict(num_heads=5, embed_dims=25)),
        ),
        *(
            (dict(out_indices=3), r'0\.\.2 or -3\.\.-1', dict(out_indices=i))
            for i in (0, 2, -3, -1)
        ),
        (
            dict(pool_before=(0, 1)),
            'those of a larger patch_size',
            dict(pool_before=(1,), patch_size=8),
        ),
        (dict(pool=dict(type='TokenPool')), 'name some, or leave pool out', dict(pool_before=(1,))),
        (dict(pool=dict(type='TokenPool')), 'name some, or leave pool out', dict(pool=None)),
        (dict(window_size=-1), 'from 0 up', dict(window_size=0)),
        (dict(window_size=-1), 'such as 14', dict(window_size=14)),
        *((dict(frozen_stages=4), r'-1\.\.3', dict(frozen_stages=i)) for i in (-1, 0, 3)),
        *((dict(out_type='map'), f"one of .*'{kind}'", dict(out_type=kind)) for kind in OUT_TYPES),
        (dict(num_aux_tokens=0), "or 'avg_featmap'", dict(out_type='avg_featmap')),
        (dict(num_aux_tokens=0), 'use num_aux_tokens >= 1', dict(num_aux_tokens=1)),
        (dict(projection=dict(embed_dims=24)), 'leave it out', dict(projection=dict())),
    ],
    carried: [
        (dict(size=16), r'\(B, A \+ H\*W, M\) = \(2, 17, M\)', dict(size=17)),
        *((dict(start=3), r'use -3\.\.2', dict(start=i)) for i in (-3, 2)),
    ],
    projection: [
        (dict(kernel_sizes=(2, 4)), r'such as \(3, 5\)', dict(kernel_sizes=(3, 5))),
        *((dict(aux_key='last'), f'use .*{k}', dict(aux_key=k)) for k in ('cascaded', 'first')),
    ],
    pyramid: [
        (dict(patch_size=0), 'such as 16', dict(patch_size=16)),
        *((dict(num_outs=3), '4 or more, or leave it out', dict(num_outs=n)) for n in (4, 5, None)),
        *((dict(down='stride'), f'use .*{kind}', dict(down=kind)) for kind in ('conv', 'pool')),
    ],
    decayed: [
        *(
            (dict(layer_decay_rate=wrong), r'in \(0, 1\]', dict(layer_decay_rate=right))
            for wrong, right in (('high', 1), (0, 0.1), (1.5, 1.0))
        ),
    ],
    converted: [
        (
            dict(name='blocks.0.attn.qkv.scale1.weight'),
            'check that `source` names where the file is from',
            dict(source='life'),
        ),
        *((dict(source='jax'), f"one of .*'{name}'", dict(source=name)) for name in SOURCES),
    ],
    cutmix: [
        (dict(patch_size=0), 'at least 1 pixel', dict(patch_size=1)),
        (dict(alpha=0), '1.0 is the usual one', dict(alpha=1.0)),
        *((dict(prob=2), r'use 0\.0 to 1\.0', dict(prob=prob)) for prob in (0.0, 1.0)),
    ],
    aligned: [
        (dict(target='tlalign'), "did you mean 'tl_align'", dict(target='tl_align')),
        (dict(mix=CUTMIX), "type='PatchCutMix', or", dict(mix=dict(type='PatchCutMix'))),
        (
            dict(mix=CUTMIX),
            'mix=None and the others in train_cfg.augments',
            dict(mix=None, train_cfg=dict(augments=CUTMIX)),
        ),
        (dict(mix=dict(patch_size=8)), 'leave it out', dict(mix=dict())),
        (
            dict(train_cfg=dict(augments=CUTMIX)),
            r'train_cfg=dict\(augments=None\), or',
            dict(train_cfg=dict(augments=None)),
        ),
        (dict(train_cfg=dict(augments=CUTMIX)), 'or mix=None', dict(mix=None)),
        *(
            (dict(head=wrong), advice, right)
            for wrong, advice in (
                (dict(type='ClsHead'), 'such as VisionTransformerClsHead, or mix=None'),
                (HEAD_OF_ITS_OWN, 'such as VisionTransformerClsHead, or mix=None'),
                (HEAD | dict(cal_acc=True), 'leave it out, or mix=None'),
            )
            for right in (dict(head=HEAD), dict(mix=None))
        ),
        *(
            (
                dict(backbone=dict(type='VisionTransformer', arch='deit-tiny')),
                f'the TokenViT family, such as .*{kind}',
                dict(backbone=dict(type=kind)),
            )
            for kind in ('TokenViT', 'LIFEViT')
        ),
        (
            dict(backbone=dict(out_indices=(2, 0))),
            'put it last',
            dict(backbone=dict(out_indices=(0, 2))),
        ),
        *(
            (dict(backbone=MAP), f"use .*'{kind}'", dict(backbone=dict(out_type=kind)))
            for kind in ('cls_token', 'avg_featmap')
        ),
        (
            dict(backbone=MAP),
            'with the neck GlobalAveragePooling',
            dict(neck=dict(type='GlobalAveragePooling')),
        ),
        *(
            (dict(backbone=dict(num_aux_tokens=2)), f'DeiTClsHead takes class and.*{end}', right)
            for end, right in (
                ('distillation token', dict(head=HEAD_OF_TWO)),
                ('other heads one output', dict(backbone=dict(num_aux_tokens=1))),
            )
        ),
        (
            dict(images=torch.zeros(2, 1, 16, 16, dtype=torch.uint8)),
            r'\(B, 3, height, width\) of a floating-point type',
            dict(images=IMAGES),
        ),
    ],
    check_fusion: [
        *(
            (dict(head_fusion='sum', discard_ratio=0), f"'{name}'", dict(head_fusion=name))
            for name in FUSIONS
        ),
        (dict(head_fusion='mean', discard_ratio=1), '0 discards nothing', dict(discard_ratio=0)),
    ],
    DenseRolloutHook: [
        (dict(images=0), 'give 1 or more', dict(images=1)),
        (dict(max_classes=0), 'give 1 or more', dict(max_classes=1)),
        (dict(interval=0), 'is not 1 or more', dict(interval=1)),
        *((dict(weights='firm'), f"use .*'{name}'", dict(weights=name)) for name in WEIGHTS),
    ],
    GlyphDataOptions: [
        (dict(classes=9), 'choose 10 to 109', dict(classes=10)),
        (dict(classes=110), 'choose 10 to 109', dict(classes=109)),
        (dict(imbalance=0.5), 'choose 1 .balanced. to 1000', dict(imbalance=1)),
    ],
    DigitDataOptions: [
        (dict(train=0), 'choose 1 or more', dict(train=1)),
        *(
            (dict(difficulty='x'), f'choose .*{name}', dict(difficulty=name))
            for name in DIFFICULTIES
        ),
        (dict(min_objects=7), '1 <= min-digits <= max-digits', dict(max_objects=7)),
        (dict(occlusion=1.0), '0 <= occlusion < 1', dict(occlusion=0)),
        (dict(seed=-1), 'choose 0 or more', dict(seed=0)),
        (dict(size=32), 'a size of 56 or more, or max-digits 1$', dict(size=56)),
        (dict(size=32), 'a size of 56 or more, or max-digits 1$', dict(max_objects=1)),
        (dict(size=100, max_objects=40), 'a size of 139 or', dict(size=139)),
        (dict(size=100, max_objects=40), 'max-digits 20$', dict(max_objects=20)),
        # Where fewer digits are too small, too, or fewer than asked for.
        (dict(size=8, max_objects=1), 'a size of 27 or more$', dict(size=27)),
        (dict(size=32, min_objects=6), 'a size of 56 or more$', dict(size=56)),
    ],
}


@pytest.mark.filterwarnings('ignore:MMPretrain cannot train the distilled version DeiT')
@pytest.mark.parametrize(
    ('call', 'wrong', 'advice', 'changes'),
    [(call, *case) for call, cases in CASES.items() for case in cases],
)
def test_advice_works(call, wrong, advice, changes):
    with pytest.raises(UserError, match=advice):
        call(**wrong)

    call(**(wrong | changes))
