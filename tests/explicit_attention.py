"""Attention as the full matrix that the package never forms, for tests to compare with."""

import torch

from mmtoken.tokens import Tokens
from mmtoken.vit import TokenAttention


def explicit_attention(attention: TokenAttention, tokens: Tokens) -> torch.Tensor:
    """softmax(q·kᵀ/√d) as a full (B, h, N, N) matrix; windows as a block mask."""
    q, k, _ = (
        t.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2) for t in attention.qkv(tokens)
    )
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5
    if attention.window_size:
        rows, columns = torch.meshgrid(
            *(torch.arange(n) // attention.window_size for n in tokens.grid), indexing='ij'
        )
        window = (rows * 1000 + columns).flatten()
        allowed = torch.ones(scores.shape[-2:], dtype=torch.bool)
        allowed[tokens.num_aux :, tokens.num_aux :] = window[:, None] == window[None]
        scores = scores.masked_fill(~allowed, -torch.inf)
    return scores.softmax(-1)
