"""The config of the `TokenViT` that weights by our names are of, as far as names and shapes say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor

from mmtoken.errors import UserError
from mmtoken.vit.arguments import ARCHS
from mmtoken.vit.aux_tokens import found_layout

from .conversion import Hints
from .positions import place_position
from .rules import Renamed, of_backbone

# Heads of the published models by their width; DINOv3's of 1,280 channels have 20.
HEADS = {
    192: 3,
    256: 4,
    320: 5,
    384: 6,
    512: 8,
    640: 10,
    768: 12,
    832: 13,
    896: 14,
    1024: 16,
    1152: 16,
    1280: 16,
    1408: 16,
    1536: 24,
    1664: 16,
    4096: 32,
}
# Of the MLP, by the names that the user has for them: the default, SigLIP's and CLIP's.
ACTIVATIONS = {
    'GELU': {},
    'GELU-tanh': dict(type='GELU', approximate='tanh'),
    'QuickGELU': dict(type='QuickGELU'),
}
# The names of `ARCHS` that say most.
_NAMES = ('deit-tiny', 'deit-small', 'deit-base', 'large', 'huge')
_NEEDED = ('patch_embed.projection.weight', 'layers.0.ln1.weight', 'layers.0.attn.proj.weight')


def describe_vit(
    renamed: Renamed,
    hints: Hints,
    leading: Sequence[int] | None = None,
    heads: Mapping[int, int] | None = None,
    eps: float = 1e-6,
    position: dict | None = None,
    interpolate_mode: str = 'bicubic',
    **options,
) -> dict:
    """The config of a plain ViT.

    Args:
        renamed: Weights by our names, whose position embedding gets the rows that it lacks.
        hints: What the user says.
        leading: How many of the auxiliary tokens may have a row in the position embedding, the
            likeliest first; all of them by default.
        heads: Heads by width, where they are not those of `HEADS`.
        eps: Of the norms, where the user does not say it.
        position: Config of the rotary position, if there is one.
        interpolate_mode: How the position embedding comes to another grid there, if there is one.
        **options: What else the config has.

    Returns:
        A config for mmpretrain's registry; what is a default of `TokenViT` is not in it.

    Raises:
        UserError: If the weights are no plain ViT's, or the number of heads is unknown.
    """
    own = of_backbone(renamed.state)
    for name in _NEEDED:
        if name not in own:
            raise UserError(
                f'the weights have no {name}, which every plain ViT has; give the whole checkpoint'
            )
    kernel, depth = own['patch_embed.projection.weight'], depth_of(own)
    patch, channels = kernel.shape[-1], kernel.shape[0]
    mlp, hidden = _mlp(own, hints, eps)
    layout = found_layout(own)
    num_aux = sum(layout.values())
    config = dict(
        type='TokenViT',
        arch=_arch(channels, depth, _heads(own, channels, hints, heads), hidden),
        img_size=224,
        patch_size=patch,
    )
    grid = place_position(
        renamed,
        num_aux,
        leading or (num_aux,),
        hints.img_size and tuple(-(-side // patch) for side in hints.img_size),
    )
    if hints.img_size:
        config['img_size'] = tuple(hints.img_size)
    elif grid:
        config['img_size'] = grid[0] * patch
    if kernel.shape[1] != 3:
        config['in_channels'] = kernel.shape[1]
    if num_aux != 1:
        config['num_aux_tokens'] = num_aux
    if 'reg_tokens' in layout:
        config['num_registers'] = layout['reg_tokens']
    if 'cls_token' not in layout:
        config['out_type'] = 'avg_featmap'
    if 'patch_embed.projection.bias' not in own:
        config['stem'] = dict(bias=False)
    if 'layers.0.attn.qkv.bias' not in own:
        config['qkv_bias'] = False
    if mlp:
        config['mlp'] = mlp
    if 'layers.0.attn.gamma1.weight' in own:
        config['layer_scale_init_value'] = 1e-5
    if 'layers.0.attn.q_norm.weight' in own:
        config['qk_norm'] = True
    if 'pre_norm.weight' in own:
        config['pre_norm'] = True
    if grid and interpolate_mode != 'bicubic':
        config['interpolate_mode'] = interpolate_mode
    if position:
        config['position'] = position
    if (hints.eps or eps) != 1e-6:
        config['norm_cfg'] = dict(type='LN', eps=hints.eps or eps)
    return {**config, **options}


def refuse_unknown_activation(name: str, whose: str, choices: str) -> None:
    """Refuse weights of a family that was trained with one activation or another.

    Args:
        name: One of the weights.
        whose: The family.
        choices: Which of its models have which.

    Raises:
        UserError: Always.
    """
    raise UserError(
        f'{name!r} is of {whose}, whose weights do not say which activation they were trained '
        f'with; say it with --activation: {choices}'
    )


def depth_of(names: Iterable[str], layer: str = r'layers\.(\d+)\.') -> int:
    """How many layers there are by the names of weights, given how the name of one begins."""
    matches = (re.match(layer, name) for name in names)
    return 1 + max((int(match[1]) for match in matches if match), default=-1)


def _arch(channels: int, depth: int, heads: int, hidden: int) -> str | dict:
    sizes = dict(
        embed_dims=channels, num_layers=depth, num_heads=heads, feedforward_channels=hidden
    )
    return next((name for name in _NAMES if ARCHS[name] == sizes), sizes)


def _heads(
    own: Mapping[str, Tensor], channels: int, hints: Hints, heads: Mapping[int, int] | None
) -> int:
    if hints.num_heads:
        return hints.num_heads
    if 'layers.0.attn.q_norm.weight' in own:
        return channels // own['layers.0.attn.q_norm.weight'].numel()
    known = {**HEADS, **(heads or {})}
    if channels not in known:
        raise UserError(
            f'no published model is known to be {channels} channels wide, and weights do not say '
            'how many heads they have; say it with --num-heads'
        )
    return known[channels]


def _mlp(own: Mapping[str, Tensor], hints: Hints, eps: float) -> tuple[dict, int]:
    """The config of the MLP, empty where it is the default, and its hidden channels."""
    if 'layers.0.ffn.w3.weight' in own:
        if hints.activation:
            raise UserError(
                f'--activation {hints.activation} is of a plain MLP, and these weights are of a '
                "gated one, whose gate is SwiGLU's; leave it out"
            )
        mlp = dict(type='SwiGLU')
        if 'layers.0.ffn.norm.weight' in own:
            mlp['norm_cfg'] = dict(type='LN', eps=hints.eps or eps)
        return mlp, own['layers.0.ffn.w3.weight'].shape[1]
    if 'layers.0.ffn.layers.1.weight' not in own:
        raise UserError('the weights have no MLP in their first layer; give the whole checkpoint')
    activation = ACTIVATIONS[hints.activation or 'GELU']
    mlp = dict(act_cfg=dict(activation)) if activation else {}
    return mlp, own['layers.0.ffn.layers.1.weight'].shape[1]
