"""facebookresearch/mae, with the decoder of its pretraining; its encoder alone is timm's ViT."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ..conversion import Family, Hints
from ..describe import describe_vit
from ..rules import Renamed, Rule
from .timm_vit import FAMILY as TIMM_VIT
from .timm_vit import prefix_tokens, vit_rules

_DECODER = Rule(r'decoder_.+|mask_token', None, why='of the decoder, which pretraining alone needs')


def _finish(state: Mapping[str, Tensor], renamed: Renamed, hints: Hints) -> dict:
    return describe_vit(renamed, hints, leading=(prefix_tokens(state),))


# Named, not recognised: its names are timm's.
ENCODER = Family(
    name='mae',
    what="facebookresearch/mae's encoder",
    marks=TIMM_VIT.marks,
    rules=vit_rules,
    finish=_finish,
)
FAMILY = Family(
    name='mae',
    what='facebookresearch/mae, with its decoder',
    marks=(r'decoder_embed\.weight', r'patch_embed\.proj\.weight', r'blocks\.0\.norm1\.weight'),
    rules=lambda state: (_DECODER, *vit_rules(state)),
    finish=_finish,
)
