"""Weights of microsoft's Swin for ours and mmpretrain's."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from mmtoken.errors import UserError

_OLD, _NEW = r'layers\.(\d+)\.blocks\.(\d+)\.', r'backbone.stages.\1.blocks.\2.'
_NAMES = [
    (r'absolute_pos_embed', r'backbone.absolute_pos_embed'),
    (r'patch_embed\.proj\.(.+)', r'backbone.patch_embed.projection.\1'),
    (r'patch_embed\.norm\.(.+)', r'backbone.patch_embed.norm.\1'),
    (_OLD + r'norm([12])\.(.+)', _NEW + r'norm\3.\4'),
    (_OLD + r'attn\.(.+)', _NEW + r'attn.w_msa.\3'),
    (_OLD + r'mlp\.fc1\.(.+)', _NEW + r'ffn.layers.0.0.\3'),
    (_OLD + r'mlp\.fc2\.(.+)', _NEW + r'ffn.layers.1.\3'),
    (r'layers\.(\d+)\.downsample\.(.+)', r'backbone.stages.\1.downsample.\2'),
    (r'head\.(weight|bias)', r'head.fc.\1'),
]
# Made anew for every size of image.
_MASK = re.compile(_OLD + 'attn_mask')
_STAGE = re.compile(r'layers\.(\d+)\.')
# Where the released code has the tokens of (row, column) 00, 01, 10, 11 among the four it merges.
_PLACES = [0, 2, 1, 3]


def convert_swin(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of microsoft/Swin-Transformer, and put the channels of its mergings in
    mmcv's order.

    Args:
        state: Of its `SwinTransformer`, with or without a head.

    Returns:
        `backbone.*` and `head.fc.*`.

    Raises:
        UserError: If a name is unknown.
    """
    stages = [int(match[1]) for match in map(_STAGE.match, state) if match]
    last = max(stages, default=0)
    names = [*_NAMES, (r'norm\.(weight|bias)', rf'backbone.norm{last}.\1')]
    found = {}
    for name, value in state.items():
        if _MASK.fullmatch(name):
            continue
        renamed = [m.expand(new) for old, new in names if (m := re.fullmatch(old, name))]
        if not renamed:
            raise UserError(
                f"{name!r} is not a weight of a 'swin' classifier; check that `source` names where "
                'the file is from'
            )
        found[renamed[0]] = _reordered(value) if '.downsample.' in name else value
    return found


def _reordered(value: Tensor) -> Tensor:
    """4C channels, token after token, as 4C channels, each of four tokens: (…, 4·C) → (…, C·4)."""
    return value.unflatten(-1, (4, -1))[..., _PLACES, :].transpose(-2, -1).flatten(-2)
