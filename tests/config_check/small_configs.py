"""A small right config of each library, for the tests of what is wrong with one."""

import copy
from typing import Any

from mmengine.config import Config

CLASSES = ('cat', 'dog', 'hen')


def _run(dataset: dict, model: dict, scope: str, **rest: Any) -> dict:
    """A config that trains a model on a dataset."""
    loader = dict(
        batch_size=4,
        num_workers=2,
        sampler=dict(type='DefaultSampler', shuffle=True),
        dataset=dict(dataset, metainfo=dict(classes=CLASSES), pipeline=[]),
    )
    return dict(
        default_scope=scope,
        model=model,
        train_dataloader=loader,
        val_dataloader=copy.deepcopy(loader),
        train_cfg=dict(by_epoch=True, max_epochs=5, val_interval=1),
        optim_wrapper=dict(
            optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
            clip_grad=dict(max_norm=1.0),
        ),
        param_scheduler=[dict(type='LinearLR', begin=0, end=1)],
        env_cfg=dict(dist_cfg=dict(backend='gloo')),
        **rest,
    )


ARCH = dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)
BACKBONE = dict(type='mmpretrain.TokenViT', arch=ARCH, img_size=32, patch_size=8)
HEAD = dict(num_classes=len(CLASSES), in_channels=24)
CONFIGS = {
    'mmpretrain': _run(
        dict(type='CustomDataset', data_root='no/data', data_prefix='train'),
        dict(type='ImageClassifier', backbone=BACKBONE, head=dict(type='LinearClsHead', **HEAD)),
        'mmpretrain',
        data_preprocessor=dict(num_classes=len(CLASSES)),
    ),
    'mmdet': _run(
        dict(type='CocoDataset', ann_file='no.json', data_prefix=dict(img='train/')),
        dict(
            type='MaskRCNN',
            backbone=dict(BACKBONE, out_type='featmap'),
            rpn_head=dict(type='RPNHead', in_channels=24),
            roi_head=dict(
                type='StandardRoIHead',
                bbox_head=dict(type='Shared2FCBBoxHead', **HEAD),
                mask_head=dict(type='FCNMaskHead', **HEAD),
            ),
            test_cfg=dict(rcnn=dict(score_thr=0.05, nms=dict(type='nms', iou_threshold=0.5))),
        ),
        'mmdet',
    ),
    'mmseg': _run(
        dict(type='BaseSegDataset', data_prefix=dict(img_path='train', seg_map_path='maps')),
        dict(
            type='EncoderDecoder',
            backbone=dict(BACKBONE, out_type='featmap'),
            decode_head=dict(type='FCNHead', channels=8, dropout_ratio=-1, **HEAD),
            auxiliary_head=[dict(type='FCNHead', channels=8, **HEAD)],
            test_cfg=dict(mode='whole'),
        ),
        'mmseg',
    ),
}


def small_config(scope: str, changes: dict[str, Any] | None = None) -> Config:
    """The config of a library with some values changed.

    Args:
        scope: The library.
        changes: Dotted keys and their values; what is `...` is taken out.
    """
    content = copy.deepcopy(CONFIGS[scope])
    for key, value in (changes or {}).items():
        *parents, last = (int(part) if part.isdigit() else part for part in key.split('.'))
        node = content
        for part in parents:
            node = node[part] if isinstance(node, list) else node.setdefault(part, {})
        if value is ...:
            del node[last]
        else:
            node[last] = value
    return Config(content)
