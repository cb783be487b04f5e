"""microsoft/Swin-Transformer, Swin and Swin V2, and NeurAI-Lab/LIFE's Swin V2."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ..conversion import Family, Hints
from ..describe_pyramid import with_map_size
from ..describe_swin import NOTE, TAKEN, describe_swin
from ..rules import Renamed, of_backbone
from ..swin import swin_rules


def _finish(state: Mapping[str, Tensor], renamed: Renamed, hints: Hints) -> dict:
    positions = state.get('absolute_pos_embed')
    return describe_swin(renamed, with_map_size(hints, positions, of_backbone(renamed.state)))


FAMILY = Family(
    name='swin',
    what="microsoft/Swin-Transformer's Swin, whose names LIFE's Swin V2 has too",
    marks=(
        r'layers\.0\.blocks\.0\.attn\.(?:logit_scale|relative_position_bias_table)',
        r'patch_embed\.proj\.weight',
    ),
    rules=swin_rules,
    finish=_finish,
    takes=TAKEN,
    notes=(NOTE,),
    aliases=('life-swinv2',),
)
