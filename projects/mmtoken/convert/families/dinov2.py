"""facebookresearch/dinov2, with and without registers."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ..conversion import Family, Hints
from ..describe import describe_vit
from ..rules import Renamed, Rule
from .timm_vit import BLOCKS, EMBEDDING, ENDS, PARAMETER, PLAIN_MLP

# Files of training have blocks in chunks, 'blocks.<chunk>.<block>.'.
_CHUNKED = r'blocks\.(?:\d+\.)?(\d+)\.'
MASK_TOKEN = 'stands for masked patches, in training alone'


def _chunked(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    return tuple(
        Rule(rule.old.replace(r'blocks\.(\d+)\.', _CHUNKED), rule.new, rule.why) for rule in rules
    )


def _finish(state: Mapping[str, Tensor], renamed: Renamed, hints: Hints) -> dict:
    # Registers have no position.
    mode = 'antialias' if 'register_tokens' in state else 'offset'
    return describe_vit(renamed, hints, leading=(1,), interpolate_mode=mode)


FAMILY = Family(
    name='dinov2',
    what='facebookresearch/dinov2',
    marks=(r'mask_token', r'patch_embed\.proj\.weight', rf'{_CHUNKED}ls1\.gamma'),
    rules=(
        Rule(r'register_tokens', r'backbone.reg_tokens'),
        Rule(r'mask_token', None, why=MASK_TOKEN),
        Rule(rf'{_CHUNKED}mlp\.(w12|w3)\.{PARAMETER}', r'backbone.layers.\1.ffn.\2.\3'),
        *EMBEDDING,
        *_chunked(BLOCKS + PLAIN_MLP),
        *ENDS,
    ),
    finish=_finish,
)
