"""Between two stages of a pyramid: four tokens become one."""

from __future__ import annotations

import torch.nn.functional as F
from torch import nn

from mmtoken.tokens import Tokens
from mmtoken.vit import BasePool
from mmtoken.vit.building import build_norm


class PatchMerging(BasePool):
    """The features of 2×2 tokens side by side, a norm, and a linear map to fewer channels (Swin);
    parameter names and order of the channels as in mmcv's `PatchMerging`.

    An odd side is zero-padded at the bottom and right. The trace of a merged token is the mean of
    those that are there (our design).

    Args:
        embed_dims: C.
        out_dims: C′; 2C by default.
        norm_cfg: Config of the norm.
        post_norm: Whether the norm comes after the map, over C′ channels (Swin V2), and not before
            it, over 4C.
    """

    stride = 2

    def __init__(
        self,
        embed_dims: int,
        out_dims: int | None = None,
        norm_cfg: dict | None = None,
        post_norm: bool = False,
    ) -> None:
        super().__init__()
        out_dims = out_dims or 2 * embed_dims
        self.post_norm = post_norm
        self.reduction = nn.Linear(4 * embed_dims, out_dims, bias=False)
        self.norm = build_norm(norm_cfg, out_dims if post_norm else 4 * embed_dims, dict(type='LN'))

    def forward(self, tokens: Tokens) -> Tokens:
        """(B, H·W, C) → (B, ⌈H/2⌉·⌈W/2⌉, C′)."""
        height, width = tokens.grid
        x = F.pad(tokens.x.unflatten(1, tokens.grid), (0, 0, 0, width % 2, 0, height % 2))
        # (B, H, W, C) → (B, H/2, 2, W/2, 2, C) → (B, H/2, W/2, C, 2, 2) → (B, H·W/4, 4C)
        x = x.unflatten(2, (-1, 2)).unflatten(1, (-1, 2)).permute(0, 1, 3, 5, 2, 4)
        grid = tuple(x.shape[1:3])
        x = x.flatten(3).flatten(1, 2)
        x = self.norm(self.reduction(x)) if self.post_norm else self.reduction(self.norm(x))
        return tokens.with_(x=x, grid=grid)
