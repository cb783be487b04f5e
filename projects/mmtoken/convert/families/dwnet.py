"""Atten4Vis/DemystifyLocalViT's DWNet, of classification, detection and segmentation."""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt

from torch import Tensor

from mmtoken.dwnet.dwnet import ARCHS
from mmtoken.errors import UserError

from ..conversion import Family, Hints
from ..describe_pyramid import blocks_of, describe_pyramid, with_map_size
from ..dwnet import dwnet_rules
from ..rules import Renamed, of_backbone

_CONV = 'stages.{}.blocks.0.attn.conv.'


def _finish(state: Mapping[str, Tensor], renamed: Renamed, hints: Hints) -> dict:
    own = of_backbone(renamed.state)
    depths = blocks_of(own)
    kernel, window = _kernel(own, hints)
    groups = tuple(_group(own, stage, window) for stage in range(len(depths)))
    arch = dict(depths=tuple(depths), group_channels=groups)
    hints = with_map_size(hints, state.get('absolute_pos_embed'), own)
    config = describe_pyramid(own, hints, ARCHS, arch)
    if kernel != 'static':
        config['kernel'] = kernel
    if window != 7:
        config['window_size'] = window
    if any(name.startswith('norm') and name.endswith('running_mean') for name in own):
        # The backbone of the released detectors and segmentors; on one device BN is SyncBN.
        config.update(pad_to_window=True, out_norm_cfg=dict(type='BN'))
    return dict(type='DWNet', **config)


def _kernel(own: Mapping[str, Tensor], hints: Hints) -> tuple[str, int]:
    """Whose kernels are, and their side.

    Raises:
        UserError: If another side is said than the weights have.
    """
    conv = _CONV.format(0)
    if conv + 'conv2.0.weight' in own:
        # Groups and places of a kernel are one number here.
        kernel, window = 'inhomogeneous', hints.window_size or 7
        width, maps = own[conv + 'conv1.0.weight'].shape[1], own[conv + 'conv2.0.weight'].shape[0]
        fits = maps % window**2 == 0 and width % (maps // window**2) == 0
    else:
        if conv + 'conv2.weight' in own:
            maps, width = own[conv + 'conv2.weight'].shape[0], own[conv + 'bias'].shape[0]
            kernel, window = 'homogeneous', isqrt(maps // width)
        else:
            kernel, window = 'static', own[conv + 'weight'].shape[-1]
        fits = hints.window_size in (None, window)
    if not fits:
        raise UserError(
            f'the convolutions of these weights have no windows of {hints.window_size or 7}; say '
            'how large they are with --window-size'
            + ('' if kernel == 'inhomogeneous' else f' {window}, or leave it out')
        )
    return kernel, window


def _group(own: Mapping[str, Tensor], stage: int, window: int) -> int:
    """Channels that share a kernel; of kernels of other kinds, which have none, a 32nd."""
    conv = _CONV.format(stage)
    if conv + 'conv2.0.weight' in own:
        groups = own[conv + 'conv2.0.weight'].shape[0] // window**2
        return own[conv + 'conv1.0.weight'].shape[1] // groups
    width = own[f'stages.{stage}.blocks.0.attn.conv0.weight'].shape[0]
    return width // 32 if width % 32 == 0 else 1


FAMILY = Family(
    name='dwnet',
    what="Atten4Vis/DemystifyLocalViT's DWNet",
    marks=(r'layers\.0\.blocks\.0\.attn2conv\.conv0\.weight', r'patch_embed\.proj\.weight'),
    rules=dwnet_rules,
    finish=_finish,
    takes=('img_size', 'eps', 'window_size'),
)
