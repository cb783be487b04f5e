"""Fewer tokens from here on."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmtoken.tokens import Tokens
from mmtoken.vit import BasePool
from mmtoken.vit.building import NORM, build_norm


@MODELS.register_module()
class TokenPool(BasePool):
    """A layer that halves the token grid in both directions (our design).

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
    """

    stride = 2

    def __init__(self, embed_dims: int, num_aux_tokens: int = 0, norm_cfg: dict = NORM) -> None:
        super().__init__()
        self.conv = nn.Conv2d(embed_dims, embed_dims, 3, self.stride, padding=1)
        if num_aux_tokens:
            self.aux = nn.Linear(embed_dims, embed_dims)
        self.norm = build_norm(norm_cfg, embed_dims)

    def forward(self, tokens: Tokens) -> Tokens:
        """(B, A + H·W, C) → (B, A + ⌈H/2⌉·⌈W/2⌉, C)."""
        # (B, H·W, C) → (B, C, H, W), a view → (B, C, ⌈H/2⌉, ⌈W/2⌉)
        maps = self.conv(tokens.patches.transpose(1, 2).unflatten(2, tokens.grid))
        x = maps.flatten(2).transpose(1, 2)
        if tokens.num_aux:
            x = torch.cat([self.aux(tokens.aux), x], dim=1)
        # Autocast would leave the residual stream in its type from here on.
        return tokens.with_(x=self.norm(x.to(tokens.x.dtype)), grid=tuple(maps.shape[-2:]))

    def pool_maps(self, maps: Tensor) -> Tensor:
        """The means over the 3x3 patches that are read, (B, M, H, W) → (B, M, ⌈H/2⌉, ⌈W/2⌉)."""
        return F.avg_pool2d(maps, 3, self.stride, padding=1, count_include_pad=False)
