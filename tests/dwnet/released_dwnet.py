"""What the released code computed, and models of its sizes and weights."""

import numpy as np
from mmpretrain.registry import MODELS
from references import REFERENCES, read_reference
from torch import nn

from mmtoken.convert.dwnet import convert_dwnet
from mmtoken.dwnet import DWNet

# The authors' words for the kinds of kernels.
KERNELS = {'static': 'static', 'dynamic': 'homogeneous', 'idynamic': 'inhomogeneous'}
CLASSIFIERS = [f'dwnet_{kind}_{number}' for kind in KERNELS for number in (1, 2)]
DENSE = ['dwnet_dense_1', 'dwnet_dense_2']
MIXERS = ['dwnet_mixer_1', 'dwnet_mixer_2']


def read(name: str) -> dict[str, dict]:
    """The arrays of one file by group and name; of `meta`, plain numbers and text."""
    groups = read_reference(name)
    with np.load(REFERENCES / f'{name}.npz') as arrays:
        meta = [key for key in arrays.files if key.startswith('meta/')]
        groups['meta'] = {key.removeprefix('meta/'): arrays[key].tolist() for key in meta}
    return groups


def arguments(meta: dict, **options) -> dict:
    """Those of a `DWNet` of a reference's sizes."""
    depths = meta['depths']
    return {
        'arch': dict(
            embed_dims=meta['embed_dim'],
            depths=depths,
            group_channels=meta.get('group_channels', [1] * len(depths)),
        ),
        'img_size': meta['img_size'],
        'patch_size': meta['patch_size'],
        'kernel': KERNELS[meta['kind']],
        'window_size': meta['window_size'],
        'mlp_ratio': meta['mlp_ratio'],
        'patch_norm': meta['patch_norm'],
        'use_abs_pos_embed': meta['ape'],
        **options,
    }


def classifier(reference: dict) -> nn.Module:
    """The classifier, with the released weights, in evaluation mode."""
    meta = reference['meta']
    width = meta['embed_dim'] * 2 ** (len(meta['depths']) - 1)
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(type='DWNet', **arguments(meta)),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=meta['num_classes'], in_channels=width),
        )
    )
    model.load_state_dict(convert_dwnet(reference['state']), strict=True)
    return model.eval()


def dense_backbone(reference: dict, norm: str = 'BN', **options) -> DWNet:
    """The backbone of detectors and segmentors, with the released weights, in evaluation mode."""
    meta, norm_cfg = reference['meta'], dict(type=norm)
    options = (
        dict(
            pad_to_window=True,
            block_norm_cfg=norm_cfg,
            out_norm_cfg=norm_cfg,
            out_indices=meta['out_indices'],
        )
        | options
    )
    backbone = DWNet(**arguments(meta, img_size=meta['pretrain_img_size'], **options))
    holder = nn.Module()
    holder.backbone = backbone
    holder.load_state_dict(convert_dwnet(reference['state']), strict=True)
    return backbone.eval()
