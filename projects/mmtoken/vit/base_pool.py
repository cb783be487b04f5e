"""What all layers that pool tokens share: how the trace follows the tokens."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.utils import to_2tuple
from torch import Tensor, nn

from mmtoken.errors import UserError
from mmtoken.tokens import Tokens

from .building import build_part, complete, find_part

POOL = dict(type='TokenPool')


class BasePool(nn.Module):
    """A layer that leaves fewer tokens than enter it.

    A pool of your own has `stride` and `forward`, which maps `Tokens` to `Tokens` and need not
    mind the trace: it is pooled beside it. Register it in mmpretrain's `MODELS`; it is built with
    `embed_dims`, `num_aux_tokens` and `norm_cfg`, and with `out_dims` where the layers after it are
    wider or narrower.

    A grid of (H, W) becomes one of (⌈H/stride⌉, ⌈W/stride⌉), so that a pooled token stands for
    stride×stride patches, fewer at the bottom and right of a grid that the stride does not divide.
    A stride may also be a pair, of rows and columns. Auxiliary tokens stay as many as they are.
    """

    stride: int | tuple[int, int]

    def __init__(self) -> None:
        super().__init__()
        self.register_forward_hook(_pool_trace_beside)

    def pool_trace(self, trace: Tensor, grid: tuple[int, int]) -> Tensor:
        """The trace of the pooled tokens; that of auxiliary ones stays as it is.

        Args:
            trace: Of the tokens, (B, A + H·W, M).
            grid: (H, W).

        Returns:
            (B, A + ⌈H/stride⌉·⌈W/stride⌉, M).
        """
        num_aux = trace.shape[1] - grid[0] * grid[1]
        # (B, H·W, M) → (B, M, H, W) → (B, M, ⌈H/stride⌉, ⌈W/stride⌉)
        maps = self.pool_maps(trace[:, num_aux:].transpose(1, 2).unflatten(2, grid))
        return torch.cat([trace[:, :num_aux], maps.flatten(2).transpose(1, 2)], dim=1)

    def pool_maps(self, maps: Tensor) -> Tensor:
        """What a pooled token has of the patches' trace: the mean over the patches it stands for.

        A pool whose features are of other patches says so here, by any linear map whose weights
        sum to 1, so that labels keep summing to 1 and every token's roll-out keeps its sum.

        Args:
            maps: (B, M, H, W).

        Returns:
            (B, M, ⌈H/stride⌉, ⌈W/stride⌉).
        """
        return F.avg_pool2d(maps, self.stride, ceil_mode=True, count_include_pad=False)

    def pooled_grid(self, grid: tuple[int, int]) -> tuple[int, int]:
        """The grid that (H, W) becomes, (⌈H/stride⌉, ⌈W/stride⌉)."""
        strides = to_2tuple(self.stride)
        return tuple((side + s - 1) // s for side, s in zip(grid, strides, strict=True))


def _pool_trace_beside(pool: BasePool, inputs: tuple[Tokens], left: Tokens) -> Tokens:
    """A forward hook that gives what leaves a pool its trace."""
    (entered,) = inputs
    expected = pool.pooled_grid(entered.grid)
    if tuple(left.grid) != expected:
        raise UserError(
            f'{type(pool).__name__} makes the grid {entered.grid[0]}x{entered.grid[1]} '
            f'one of {left.grid[0]}x{left.grid[1]}; '
            f'its stride {pool.stride} asks for {expected[0]}x{expected[1]}: '
            'correct its forward or its stride'
        )
    if entered.trace is None:
        return left
    return left.with_(trace=pool.pool_trace(entered.trace, entered.grid))


def build_pools(
    cfgs: dict | Sequence[dict] | None,
    norm_cfg: dict,
    widths: dict[int, tuple[int, int]],
    num_aux_tokens: int,
) -> nn.ModuleDict:
    """Build the pools of a backbone.

    Args:
        cfgs: The config of all, or one of each.
        norm_cfg: The backbone's norm, which they have where their config has no other.
        widths: Channels before and after each pool, by the layer that it stands before.
        num_aux_tokens: A.

    Returns:
        The pools by that layer.

    Raises:
        UserError: If a config is not one of a pool, or the pool cannot change the width.
    """
    each = cfgs if isinstance(cfgs, (list, tuple)) else [cfgs] * len(widths)
    return nn.ModuleDict(
        {
            str(layer): _build_pool(cfg, norm_cfg, channels, num_aux_tokens)
            for (layer, channels), cfg in zip(widths.items(), each, strict=True)
        }
    )


def _build_pool(
    cfg: dict | None, norm_cfg: dict, channels: tuple[int, int], num_aux_tokens: int
) -> BasePool:
    cfg = complete(cfg, POOL)
    cfg['norm_cfg'] = complete(cfg.get('norm_cfg'), norm_cfg)
    given = dict(embed_dims=channels[0], num_aux_tokens=num_aux_tokens)
    kind = find_part(cfg)
    if kind is not None and 'out_dims' in inspect.signature(kind).parameters:
        given['out_dims'] = channels[1]
    elif kind is not None and channels[0] != channels[1]:
        raise UserError(
            f'pool of type {kind.__name__} cannot make tokens of {channels[0]} channels ones of '
            f'{channels[1]}; give it an argument out_dims, or let all stages be as wide'
        )
    pool = build_part('pool', cfg, POOL, **given)
    if not isinstance(pool, BasePool):
        raise UserError(
            f'pool of type {type(pool).__name__} is no BasePool, which takes the trace along; '
            'derive it from mmtoken.vit.BasePool'
        )
    return pool
