"""What the configs of all pyramids say alike, read off weights by our names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from math import isqrt

from torch import Tensor

from mmtoken.errors import UserError

from .conversion import Hints
from .describe import depth_of

_OUTPUT_NORM = re.compile(r'norm(\d+)\.weight')


def describe_pyramid(
    own: Mapping[str, Tensor],
    hints: Hints,
    archs: Mapping[str, dict],
    arch: Mapping[str, object],
    *,
    has_positions: bool = False,
) -> dict:
    """The part of a config that does not depend on how tokens mix.

    Args:
        own: Weights of the backbone.
        hints: What the user says.
        archs: The published architectures by their names.
        arch: That of the weights, without the channels of its first stage.
        has_positions: Whether the backbone has absolute positions by default.

    Returns:
        What is no default of `TokenPyramid` in it.

    Raises:
        UserError: If absolute positions are of no square image, and nothing says of which.
    """
    kernel = own['patch_embed.projection.weight']
    patch, channels = kernel.shape[-1], kernel.shape[0]
    sizes = dict(embed_dims=channels, **arch)
    config = dict(arch=next((name for name in archs if archs[name] == sizes), sizes))
    if patch != 4:
        config['patch_size'] = patch
    if kernel.shape[1] != 3:
        config['in_channels'] = kernel.shape[1]
    positions = own.get('absolute_pos_embed')
    if hints.img_size:
        config['img_size'] = tuple(hints.img_size)
    elif positions is not None:
        config['img_size'] = _side(positions.shape[1]) * patch
    if (positions is not None) != has_positions:
        config['use_abs_pos_embed'] = not has_positions
    if 'patch_embed.norm.weight' not in own:
        config['patch_norm'] = False
    ratio = own['stages.0.blocks.0.ffn.layers.0.0.weight'].shape[0] / channels
    if ratio != 4:
        config['mlp_ratio'] = ratio
    if hints.eps and hints.eps != 1e-5:
        config['norm_cfg'] = dict(type='LN', eps=hints.eps)
    outputs = tuple(sorted(int(match[1]) for match in map(_OUTPUT_NORM.fullmatch, own) if match))
    if outputs and outputs != (depth_of(own, r'stages\.(\d+)\.') - 1,):
        config['out_indices'] = outputs
    return config


def _side(positions: int) -> int:
    side = isqrt(positions)
    if side**2 != positions:
        raise UserError(
            f'the {positions} absolute positions are those of no square image; say its height and '
            'width in pixels with --img-size'
        )
    return side


def blocks_of(own: Mapping[str, Tensor]) -> list[int]:
    """How many blocks each stage has."""
    stages = range(depth_of(own, r'stages\.(\d+)\.'))
    return [depth_of(own, rf'stages\.{stage}\.blocks\.(\d+)\.') for stage in stages]


def with_map_size(hints: Hints, positions: Tensor | None, own: Mapping[str, Tensor]) -> Hints:
    """Hints with the image size of positions that a file has as a map.

    Args:
        hints: What the user says.
        positions: Those of the file, if any: (1, H·W, C), or (1, C, H, W), which says the size.
        own: Weights of the backbone.
    """
    if positions is None or positions.ndim != 4 or hints.img_size:
        return hints
    patch = own['patch_embed.projection.weight'].shape[-1]
    return replace(hints, img_size=tuple(side * patch for side in positions.shape[2:]))
