"""mmpretrain's `VisionTransformer`, and `TokenViT`, which has its names."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ..conversion import Family, Hints
from ..describe import describe_vit
from ..rules import Renamed, Rule
from .timm_vit import prefix_tokens

_OWN = (
    r'(cls_token|dist_token|reg_tokens|pos_embed|patch_embed\.projection\..+|pre_norm\..+|ln1\..+|'
    r'layers\.\d+\.(?:ln[12]|attn\.(?:qkv|proj|gamma1|q_norm|k_norm)|ffn)\..+)'
)


def _finish(state: Mapping[str, Tensor], renamed: Renamed, hints: Hints) -> dict:
    own = {name.removeprefix('backbone.'): value for name, value in state.items()}
    return describe_vit(renamed, hints, leading=(prefix_tokens(own), 1, 0))


FAMILY = Family(
    name='mmpretrain',
    what="mmpretrain's VisionTransformer",
    marks=(
        r'(?:backbone\.)?layers\.0\.attn\.qkv\.weight',
        r'(?:backbone\.)?patch_embed\.projection\.weight',
        r'(?:backbone\.)?layers\.0\.ln1\.weight',
    ),
    rules=(
        Rule(rf'(?:backbone\.)?{_OWN}', r'backbone.\1'),
        Rule(r'(head\..+)', r'\1'),
        Rule(r'(?:neck|target_generator|data_preprocessor)\..+', None, why='of pretraining'),
    ),
    finish=_finish,
    notes=(
        'weights do not say how many heads they have, and the published number for their width is '
        "taken: say --num-heads 12 for MoCo v3's small model, 8 for mmpretrain's",
    ),
)
