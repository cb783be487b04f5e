"""What each layer of a backbone is: how wide, with how many heads, and whose map it uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mmtoken.checks import check_whole
from mmtoken.errors import UserError

from .arguments import resolve_pools

STAGE_KEYS = ('depth', 'embed_dims', 'num_heads')
STAGE_OPTIONS = ('pattern', 'feedforward_channels')


@dataclass(frozen=True)
class LayerPlan:
    """One layer.

    Args:
        embed_dims: C.
        num_heads: h.
        feedforward_channels: Hidden channels of the MLP.
        stage: The stage that it belongs to, from 0.
        shares: Whether it uses the attention map of the layer before.
        passes_on: Whether the layer after it does.
    """

    embed_dims: int
    num_heads: int
    feedforward_channels: int
    stage: int = 0
    shares: bool = False
    passes_on: bool = False

    @property
    def head_dims(self) -> int:
        """d, channels of a head."""
        return self.embed_dims // self.num_heads


def plan_layers(
    arch: dict,
    pattern: str | None,
    pool_before: int | Sequence[int] | None,
    pool: dict | Sequence[dict] | None,
) -> tuple[tuple[LayerPlan, ...], tuple[int, ...]]:
    """The layers of an architecture, and those before which the tokens are pooled.

    Args:
        arch: Of `resolve_arch`, with sizes that all layers have, or with `stages`.
        pattern: A letter for each layer: F has an attention map of its own, S shares that of the
            layer before. None where all have their own, or where each stage has its pattern.
        pool_before: Layers before which tokens are pooled; none, or None, where there are stages,
            each of which but the first pools before its first layer.
        pool: The config of the pools, or one of each.

    Raises:
        UserError: If the stages, the pattern or the pools have no meaning; the message names them.
    """
    pool_before = () if pool_before is None else pool_before
    if 'stages' in arch:
        for name, given in (('pattern', pattern), ('pool_before', pool_before)):
            if given not in (None, (), []):
                raise UserError(
                    f'{name} {given!r} is set beside stages, which say it themselves; leave it out'
                )
        plans, starts = _of_stages(arch['stages'])
        return plans, resolve_pools(starts, len(plans), pool)
    count = arch['num_layers']
    sizes = (arch['embed_dims'], arch['num_heads'], arch['feedforward_channels'])
    letters = _letters('pattern', pattern, count)
    pooled = resolve_pools(pool_before, count, pool)
    for layer in pooled:
        if letters[layer] == 'S':
            raise UserError(
                f'pattern {pattern!r} lets layer {layer} share a map across the pool before it, of '
                'other tokens; begin with F after a pool'
            )
    return _link([LayerPlan(*sizes, shares=letter == 'S') for letter in letters]), pooled


def check_shared_windows(
    plans: Sequence[LayerPlan], global_layers: Sequence[int], window_size: int
) -> None:
    """Refuse a layer within windows that shares a global map, or the other way round.

    Args:
        plans: The layers.
        global_layers: Those that stay global.
        window_size: Of the others; 0 where all are global.

    Raises:
        UserError: For the first of them.
    """
    for layer, plan in enumerate(plans):
        pair = layer - 1 in global_layers, layer in global_layers
        if window_size and plan.shares and pair[0] != pair[1]:
            raise UserError(
                f'layer {layer} shares the map of layer {layer - 1}, and only one of them is among '
                'the global_attn_indexes; name both, or neither'
            )


def _of_stages(stages: Sequence[dict]) -> tuple[tuple[LayerPlan, ...], tuple[int, ...]]:
    if not isinstance(stages, (list, tuple)) or not stages:
        raise UserError(f'stages {stages!r} is no list of stages; give one dict for each')
    plans: list[LayerPlan] = []
    starts: list[int] = []
    for index, stage in enumerate(stages):
        name = f'stages[{index}]'
        _check_stage(name, stage)
        starts += [len(plans)] * (index > 0)
        depth, channels, heads = (stage[key] for key in STAGE_KEYS)
        hidden = stage.get('feedforward_channels', 4 * channels)
        letters = _letters(f'{name}.pattern', stage.get('pattern'), depth)
        each = heads if isinstance(heads, (list, tuple)) else [heads] * depth
        plans += [
            LayerPlan(channels, count, hidden, index, letter == 'S')
            for count, letter in zip(each, letters, strict=True)
        ]
    return _link(plans), tuple(starts)


def _check_stage(name: str, stage: dict) -> None:
    if not isinstance(stage, Mapping):
        raise UserError(f'{name} is {stage!r}; give a dict with {", ".join(STAGE_KEYS)}')
    missing = [key for key in STAGE_KEYS if key not in stage]
    unknown = sorted(stage.keys() - {*STAGE_KEYS, *STAGE_OPTIONS})
    if missing or unknown:
        raise UserError(
            f'{name} {f"lacks {missing}" if missing else f"has unknown keys {unknown}"}; '
            f'a stage has {", ".join(STAGE_KEYS)} and, where it asks for them, '
            f'{" and ".join(STAGE_OPTIONS)}'
        )
    check_whole(f'{name}.depth', stage['depth'], example=4)
    check_whole(f'{name}.embed_dims', stage['embed_dims'], example=192)
    if 'feedforward_channels' in stage:
        check_whole(f'{name}.feedforward_channels', stage['feedforward_channels'], example=768)
    heads = stage['num_heads']
    for count in heads if isinstance(heads, (list, tuple)) else [heads]:
        check_whole(f'{name}.num_heads', count, example=3)
    if isinstance(heads, (list, tuple)) and len(heads) != stage['depth']:
        raise UserError(
            f'{name}.num_heads {list(heads)} is not one number, and not one for each of the '
            f'{stage["depth"]} layers'
        )


def _letters(name: str, pattern: str | None, count: int) -> str:
    if pattern is None:
        return 'F' * count
    if not isinstance(pattern, str) or set(pattern) - {'F', 'S'} or len(pattern) != count:
        raise UserError(
            f'{name} {pattern!r} is not a letter F or S for each of the {count} layers; '
            f'use one such as {("FS" * count)[:count]!r}'
        )
    if pattern.startswith('S'):
        raise UserError(
            f'{name} {pattern!r} starts with S, and no layer before it has a map of the same '
            'tokens to share; start with F'
        )
    return pattern


def _link(plans: Sequence[LayerPlan]) -> tuple[LayerPlan, ...]:
    """Let every layer know whether the next one shares its map."""
    for layer, (source, plan) in enumerate(zip(plans, plans[1:], strict=False), start=1):
        if plan.shares and plan.num_heads != source.num_heads:
            raise UserError(
                f'layer {layer} of {plan.num_heads} heads shares the map of layer {layer - 1}, '
                f'which has {source.num_heads}; give both the same num_heads'
            )
    following = [*(plan.shares for plan in plans[1:]), False]
    return tuple(
        replace(plan, passes_on=shared) for plan, shared in zip(plans, following, strict=True)
    )
