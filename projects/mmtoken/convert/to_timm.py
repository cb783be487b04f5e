"""Our plain ViTs in timm's layout, of its `VisionTransformer` or its `Eva`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mmtoken.errors import UserError

from .conversion import Conversion
from .rules import Fate, Renamed, Rule, apply_rules

BLOCK, LAYER = r'blocks.\1.', r'backbone\.layers\.(\d+)\.'
_POSITION, _BIAS = 'pos_embed', '.attn.qkv.bias'
_TOKENS = ('cls_token', 'dist_token', 'reg_token')

_COMMON = (
    Rule(r'backbone\.(cls_token|dist_token|pos_embed)', r'\1'),
    Rule(r'backbone\.reg_tokens', r'reg_token'),
    Rule(r'backbone\.patch_embed\.projection\.(.+)', r'patch_embed.proj.\1'),
    Rule(r'backbone\.pre_norm\.(.+)', r'norm_pre.\1'),
    Rule(rf'{LAYER}ln([12])\.(.+)', rf'{BLOCK}norm\2.\3'),
    Rule(rf'{LAYER}attn\.(qkv|proj|q_norm|k_norm)\.(weight|bias)', rf'{BLOCK}attn.\2.\3'),
    Rule(rf'{LAYER}ffn\.layers\.0\.0\.(.+)', rf'{BLOCK}mlp.fc1.\2'),
    Rule(rf'{LAYER}ffn\.layers\.1\.(.+)', rf'{BLOCK}mlp.fc2.\2'),
    Rule(rf'{LAYER}ffn\.w12\.(.+)', rf'{BLOCK}mlp.fc1.\2'),
    Rule(rf'{LAYER}ffn\.w3\.(.+)', rf'{BLOCK}mlp.fc2.\2'),
    Rule(rf'{LAYER}ffn\.norm\.(.+)', rf'{BLOCK}mlp.norm.\2'),
    Rule(r'head\.layers\.(head|head_dist)\.(.+)', r'\1.\2'),
)
_SCALES = {
    'VisionTransformer': (
        Rule(rf'{LAYER}attn\.gamma1\.weight', rf'{BLOCK}ls1.gamma'),
        Rule(rf'{LAYER}ffn\.gamma2\.weight', rf'{BLOCK}ls2.gamma'),
    ),
    'Eva': (
        Rule(rf'{LAYER}attn\.gamma1\.weight', rf'{BLOCK}gamma_1'),
        Rule(rf'{LAYER}ffn\.gamma2\.weight', rf'{BLOCK}gamma_2'),
    ),
}


def to_timm(
    state: Mapping[str, Tensor],
    backbone: Mapping[str, Any],
    layout: Mapping[str, Any] | None = None,
) -> Conversion:
    """Give our weights timm's names.

    Args:
        state: `backbone.*` and, where there is one, `head.*`.
        backbone: The config of the backbone, which a converted file carries.
        layout: What is known of the layout they came from, as a converted file carries it: weights
            that were timm's become the very same again.

    Returns:
        timm's weights; the config is still ours.

    Raises:
        UserError: If timm has no such model.
    """
    layout = layout if layout and layout.get('family') == 'timm' else {}
    _check(backbone)
    model = layout.get('model') or ('Eva' if _is_rotary(backbone) else 'VisionTransformer')
    ends = 'fc_norm' if layout.get('fc_norm') else 'norm'
    rules = (Rule(r'backbone\.ln1\.(.+)', rf'{ends}.\1'), *_COMMON, *_SCALES[model])
    renamed = apply_rules(state, rules, backbone['type'])
    if model == 'Eva':
        _split(renamed, layout)
    _place(renamed, layout)
    return Conversion(
        'timm', f"timm's {model}", renamed.state, renamed.report, dict(backbone), dict(layout)
    )


def _is_rotary(backbone: Mapping[str, Any]) -> bool:
    return isinstance(backbone.get('position'), Mapping)


def _check(backbone: Mapping[str, Any]) -> None:
    """Refuse what timm's two classes cannot be."""
    kind = backbone.get('type')
    if kind != 'TokenViT':
        raise UserError(
            f'timm has no model that computes what a {kind} does; a TokenViT with the default '
            'projection and stem can be written in its layout'
        )
    for name in ('projection', 'residual_scale', 'pool_before', 'pattern'):
        if backbone.get(name):
            raise UserError(
                f'timm has no model with {name}={backbone[name]!r}; only a TokenViT without it can '
                'be written in its layout'
            )


def _split(renamed: Renamed, layout: Mapping[str, Any]) -> None:
    """Take apart what Eva has in parts, in place."""
    biases = [name for name in renamed.state if name.endswith(_BIAS)]
    for name in biases:
        if renamed.state[name].chunk(3)[1].any():
            raise UserError(
                f"{_origin(renamed, name)!r} is not zero for keys, and those of timm's Eva have no "
                'bias; no model of timm computes what this one does'
            )
    silent = not layout and not any(renamed.state[name].any() for name in biases)
    for name in biases:
        if silent:
            renamed.drop(name, "zero in all layers, and not there in timm's models without _qkvb")
    if layout.get('fused', True):
        for name in [] if silent else biases:
            stem = name.removesuffix('.qkv.bias')
            _replace(renamed, name, {f'{stem}.q_bias': 0, f'{stem}.v_bias': 2}, 3)
    else:
        for name in [name for name in renamed.state if '.attn.qkv.' in name]:
            stem, _, kind = name.rpartition('.qkv.')
            places = {f'{stem}.{c}_proj.{kind}': i for i, c in enumerate('qkv')}
            if kind == 'bias':
                places.pop(f'{stem}.k_proj.bias')
            _replace(renamed, name, places, 3)
    # DINOv3's and EVA-02's larger models have gate and value apart.
    packed = layout.get('packed', False)
    for name in [name for name in renamed.state if '.mlp.fc1.' in name]:
        stem, _, kind = name.rpartition('.fc1.')
        gated = renamed.state[name].shape[0] == 2 * renamed.state[f'{stem}.fc2.weight'].shape[1]
        if gated and not packed:
            _replace(renamed, name, {f'{stem}.fc1_g.{kind}': 0, f'{stem}.fc1_x.{kind}': 1}, 2)


def _replace(renamed: Renamed, name: str, places: Mapping[str, int], count: int) -> None:
    """Put parts of a weight in its place."""
    parts = renamed.state[name].chunk(count)
    renamed.state = {
        new: value
        for old, kept in renamed.state.items()
        for new, value in (
            [(new, parts[place]) for new, place in places.items()] if old == name else [(old, kept)]
        )
    }
    renamed.report[_origin(renamed, name)] = Fate('split', ', '.join(places), 'into its parts')


def _origin(renamed: Renamed, new: str) -> str:
    return next(old for old, fate in renamed.report.items() if fate.into == new)


def _place(renamed: Renamed, layout: Mapping[str, Any]) -> None:
    """Leave the position to patches alone where timm's models with registers do."""
    state = renamed.state
    if _POSITION not in state:
        return
    tokens = [name for name in _TOKENS if name in state]
    num_aux = sum(state[name].shape[1] for name in tokens)
    alone = layout.get('no_embed_class', 'reg_token' in state)
    if not alone or not num_aux:
        return
    rows = state[_POSITION][:, :num_aux]
    if rows.any():
        parts = rows.split([state[name].shape[1] for name in tokens], dim=1)
        for name, part in zip(tokens, parts, strict=True):
            renamed.change(name, state[name] + part, 'with its position added')
    patches = state[_POSITION][:, num_aux:].clone(memory_format=torch.contiguous_format)
    renamed.change(_POSITION, patches, 'of patches alone')
