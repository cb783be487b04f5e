"""Softmax attention that changes the width of tokens."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class SoftmaxAttention(nn.Module):
    """One head of attention, with its values as the residual (T2T-ViT, arXiv 2101.11986; released
    code, `Token_transformer`).

    The scale is that of the width that comes, softmax(q·kᵀ/√in_dims)·v, as in the released code,
    although queries and keys have `token_dims` channels.

    Args:
        in_dims: Channels of the tokens that come.
        token_dims: Channels of those that leave.
        drop_rate: Dropout probability after the output projection.
    """

    def __init__(self, in_dims: int, token_dims: int, drop_rate: float = 0.0) -> None:
        super().__init__()
        self.scale = in_dims**-0.5
        self.qkv = nn.Linear(in_dims, 3 * token_dims, bias=False)
        self.proj = nn.Linear(token_dims, token_dims)
        self.out_drop = nn.Dropout(drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Attend: (B, N, in_dims) → (B, N, token_dims), the values added."""
        # (B, N, 3·d) → three of (B, 1, N, d): the fused kernels ask for heads.
        q, k, v = self.qkv(x).unsqueeze(1).chunk(3, dim=-1)
        attended = F.scaled_dot_product_attention(q, k, v, scale=self.scale)
        return (v + self.out_drop(self.proj(attended))).squeeze(1)
