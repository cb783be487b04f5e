"""Fewer tokens from here on."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmpretrain.models.utils import build_norm_layer
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmtoken.tokens import Tokens


@MODELS.register_module()
class TokenPool(nn.Module):
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

    def __init__(
        self, embed_dims: int, num_aux_tokens: int = 0, norm_cfg: dict = dict(type='LN', eps=1e-6)
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(embed_dims, embed_dims, 3, self.stride, padding=1)
        if num_aux_tokens:
            self.aux = nn.Linear(embed_dims, embed_dims)
        self.norm = build_norm_layer(norm_cfg, embed_dims)

    def forward(self, tokens: Tokens) -> Tokens:
        """(B, A + H·W, C) → (B, A + ⌈H/2⌉·⌈W/2⌉, C)."""
        # (B, H·W, C) → (B, C, H, W), a view → (B, C, ⌈H/2⌉, ⌈W/2⌉)
        maps = self.conv(tokens.patches.transpose(1, 2).unflatten(2, tokens.grid))
        x = maps.flatten(2).transpose(1, 2)
        if tokens.num_aux:
            x = torch.cat([self.aux(tokens.aux), x], dim=1)
        trace = tokens.trace
        if trace is not None:
            trace = self.pool_trace(trace, tokens.grid)
        # Autocast would leave the residual stream in its type from here on.
        x = self.norm(x.to(tokens.x.dtype))
        return tokens.with_(x=x, grid=tuple(maps.shape[-2:]), trace=trace)

    def pool_trace(self, trace: Tensor, grid: tuple[int, int]) -> Tensor:
        """The trace of the pooled tokens.

        Args:
            trace: Of the tokens, (B, A + H·W, M).
            grid: (H, W).

        Returns:
            (B, A + ⌈H/2⌉·⌈W/2⌉, M).
        """
        num_aux = trace.shape[1] - grid[0] * grid[1]
        # (B, H·W, M) → (B, M, H, W) → (B, M, ⌈H/2⌉, ⌈W/2⌉)
        maps = trace[:, num_aux:].transpose(1, 2).unflatten(2, grid)
        means = F.avg_pool2d(maps, 3, self.stride, padding=1, count_include_pad=False)
        return torch.cat([trace[:, :num_aux], means.flatten(2).transpose(1, 2)], dim=1)

    def trace_gradient(self, tokens: Tokens, gradient: Tensor) -> Tensor:
        """The gradient of the trace that enters, (B, A + H·W, M).

        Args:
            tokens: What enters; its own trace is not needed.
            gradient: With respect to the trace that leaves, (B, A + ⌈H/2⌉·⌈W/2⌉, M).
        """
        # Out of inference mode, which knows no gradient, and whose tensors can have none.
        with torch.inference_mode(False), torch.enable_grad():
            shape = len(gradient), tokens.x.shape[1], gradient.shape[2]
            trace = gradient.new_zeros(shape, requires_grad=True)
            pooled = self.pool_trace(trace, tokens.grid)
            return torch.autograd.grad(pooled, trace, gradient.clone())[0]
