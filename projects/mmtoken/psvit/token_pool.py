"""Fewer tokens from here on."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmtoken.errors import UserError
from mmtoken.tokens import Tokens
from mmtoken.vit import BasePool
from mmtoken.vit.building import NORM, build_norm


@MODELS.register_module()
class TokenPool(BasePool):
    """A layer that halves the token grid in both directions, PSViT-2D's (our design).

    PSViT (arXiv 2108.03428) lowers the number of tokens between layers; its abstract does not say
    how, and no code was released. Here a 3x3 convolution of stride 2 reads the patches, as in PiT
    (arXiv 2103.16302) but not depthwise; the auxiliary tokens go through a linear map; a norm
    follows, and no residual. An odd side is rounded up.

    The trace of a pooled token is the mean of those of the patches that the convolution reads, so
    that labels keep summing to 1 and every token's roll-out keeps its sum. Auxiliary tokens keep
    theirs.

    Args:
        embed_dims: C.
        num_aux_tokens: A.
        norm_cfg: Config of the norm.
        out_dims: C′, channels of the pooled tokens; C by default.
    """

    stride = 2

    def __init__(
        self,
        embed_dims: int,
        num_aux_tokens: int = 0,
        norm_cfg: dict = NORM,
        out_dims: int | None = None,
    ) -> None:
        super().__init__()
        out_dims = out_dims or embed_dims
        self.conv = nn.Conv2d(embed_dims, out_dims, 3, self.stride, padding=1)
        if num_aux_tokens:
            self.aux = nn.Linear(embed_dims, out_dims)
        self.norm = build_norm(norm_cfg, out_dims)

    def forward(self, tokens: Tokens) -> Tokens:
        """(B, A + H·W, C) → (B, A + H'·W', C′), (H', W') the pooled grid."""
        # (B, H·W, C) → (B, C, H, W), a view → (B, C′, H', W')
        maps = self.pool_features(tokens.patches.transpose(1, 2).unflatten(2, tokens.grid))
        x = maps.flatten(2).transpose(1, 2)
        if tokens.num_aux:
            x = torch.cat([self.aux(tokens.aux), x], dim=1)
        # Autocast would leave the residual stream in its type from here on.
        return tokens.with_(x=self.norm(x.to(tokens.x.dtype)), grid=tuple(maps.shape[-2:]))

    def pool_features(self, maps: Tensor) -> Tensor:
        """The patches' features, (B, C, H, W) → (B, C′, ⌈H/2⌉, ⌈W/2⌉)."""
        return self.conv(maps)

    def pool_maps(self, maps: Tensor) -> Tensor:
        """The means over the 3x3 patches that are read, (B, M, H, W) → (B, M, ⌈H/2⌉, ⌈W/2⌉)."""
        return F.avg_pool2d(maps, 3, self.stride, padding=1, count_include_pad=False)


@MODELS.register_module()
class SequencePool(TokenPool):
    """A layer that halves the number of tokens along a line, PSViT-1D's (our design).

    The patches are read as sequences: a convolution over three neighbors, then the maximum of two;
    auxiliary tokens and norm are those of `TokenPool`. Each row of the grid, or each column, is a
    sequence of its own, so that no token joins the end of one row to the start of the next and a
    grid remains that detectors and segmentors can use. After one along the rows and one along the
    columns a token stands for 2x2 patches. An odd side is rounded up.

    The trace of a pooled token is the mean, over the two, of the means over the three neighbors
    that each reads.

    Args:
        embed_dims: C.
        along: 'rows' halves W, 'columns' halves H.
        num_aux_tokens: A.
        norm_cfg: Config of the norm.
        out_dims: C′, channels of the pooled tokens; C by default.

    Raises:
        UserError: If `along` is neither.
    """

    def __init__(
        self,
        embed_dims: int,
        along: str = 'rows',
        num_aux_tokens: int = 0,
        norm_cfg: dict = NORM,
        out_dims: int | None = None,
    ) -> None:
        super().__init__(embed_dims, num_aux_tokens, norm_cfg, out_dims)
        if along not in ('rows', 'columns'):
            raise UserError(f"along {along!r} is unknown; use 'rows' or 'columns'")
        self.stride, self.read = ((1, 2), (1, 3)) if along == 'rows' else ((2, 1), (3, 1))
        self.padding = tuple(side // 2 for side in self.read)
        self.conv = nn.Conv2d(embed_dims, self.conv.out_channels, self.read, padding=self.padding)

    def pool_features(self, maps: Tensor) -> Tensor:
        """The patches' features, (B, C, H, W) → (B, C′, H, ⌈W/2⌉), or (B, C′, ⌈H/2⌉, W)."""
        return F.max_pool2d(self.conv(maps), self.stride, ceil_mode=True)

    def pool_maps(self, maps: Tensor) -> Tensor:
        """The means over the patches that are read, (B, M, H, W) → (B, M, H', W')."""
        read = F.avg_pool2d(maps, self.read, 1, padding=self.padding, count_include_pad=False)
        return F.avg_pool2d(read, self.stride, ceil_mode=True, count_include_pad=False)
