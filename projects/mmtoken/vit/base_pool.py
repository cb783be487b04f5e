"""What all layers that pool tokens share: how the trace follows the tokens."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtoken.errors import UserError
from mmtoken.tokens import Tokens

from .building import build_part, complete

POOL = dict(type='TokenPool')


class BasePool(nn.Module):
    """A layer that leaves fewer tokens than enter it.

    A pool of your own has `stride` and `forward`, which maps `Tokens` to `Tokens` and need not
    mind the trace: it is pooled beside it. Register it in mmpretrain's `MODELS`; it is built with
    `embed_dims`, `num_aux_tokens` and `norm_cfg`.

    A grid of (H, W) becomes one of (⌈H/stride⌉, ⌈W/stride⌉), so that a pooled token stands for
    stride×stride patches, fewer at the bottom and right of a grid that the stride does not divide.
    Auxiliary tokens stay as many as they are.
    """

    stride: int

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
        return tuple((side + self.stride - 1) // self.stride for side in grid)


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


def build_pool(cfg: dict | None, norm_cfg: dict, embed_dims: int, num_aux_tokens: int) -> BasePool:
    """Build a pool, its norm that of the backbone where its config has no other.

    Raises:
        UserError: If the config is not one of a pool.
    """
    cfg = complete(cfg, POOL)
    cfg['norm_cfg'] = complete(cfg.get('norm_cfg'), norm_cfg)
    pool = build_part('pool', cfg, POOL, embed_dims=embed_dims, num_aux_tokens=num_aux_tokens)
    if not isinstance(pool, BasePool):
        raise UserError(
            f'pool of type {type(pool).__name__} is no BasePool, which takes the trace along; '
            'derive it from mmtoken.vit.BasePool'
        )
    return pool
