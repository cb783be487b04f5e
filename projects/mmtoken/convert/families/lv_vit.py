"""zihangJiang/TokenLabeling's LV-ViT."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from mmtoken.errors import UserError
from mmtoken.lv_vit import LVViT

from ..conversion import Family, Hints
from ..describe import depth_of
from ..positions import place_position
from ..rules import Renamed, Rule
from .timm_vit import vit_rules

_SIZES = {
    (arch['embed_dims'], arch['num_layers']): name
    for name, arch in LVViT.archs.items()
    if len(name) > 1
}


def lv_vit_rules(state: Mapping[str, Tensor]) -> tuple[Rule, ...]:
    """The rules of zihangJiang/TokenLabeling."""
    return (
        Rule(r'patch_embed\.(conv|bn)([123])\.(.+)', r'backbone.patch_embed.\1\2.\3'),
        Rule(r'aux_head\.(weight|bias)', r'head.layers.aux_head.\1'),
        *vit_rules(state),
    )


def _finish(state: Mapping[str, Tensor], renamed: Renamed, hints: Hints) -> dict:
    kernel = state['patch_embed.proj.weight']
    channels, depth = kernel.shape[0], depth_of(state, r'blocks\.(\d+)\.')
    if (channels, depth) not in _SIZES:
        raise UserError(
            f'no LV-ViT of {depth} layers and {channels} channels was published, and weights do '
            'not say by which residual_scale its branches are divided; rename them with '
            "mmtoken.convert.convert_state_dict(state, 'lv-vit') and set arch and residual_scale "
            'yourself'
        )
    # The first convolution of the stem halves the image before.
    patch = 2 * kernel.shape[-1]
    grid = hints.img_size and tuple(-(-side // patch) for side in hints.img_size)
    grid = place_position(renamed, 1, (1,), grid)
    size = tuple(hints.img_size) if hints.img_size else grid[0] * patch
    return dict(type='LVViT', arch=_SIZES[channels, depth], img_size=size, patch_size=patch)


FAMILY = Family(
    name='lv-vit',
    what="zihangJiang/TokenLabeling's LV-ViT",
    marks=(r'patch_embed\.conv1\.weight', r'patch_embed\.proj\.weight', r'cls_token'),
    rules=lv_vit_rules,
    finish=_finish,
    takes=('img_size',),
)
