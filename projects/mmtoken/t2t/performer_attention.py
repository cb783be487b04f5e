"""Attention of random features in the place of softmax, whose cost grows with the tokens alone."""

from __future__ import annotations

from math import sqrt

import torch
from torch import Tensor, nn


class PerformerAttention(nn.Module):
    """One head of Performer's attention, with its values as the residual (T2T-ViT, arXiv
    2101.11986; released code, `Token_performer`; Choromanski et al., arXiv 2009.14794).

    With m positive random features φ of each query and key, of d = `token_dims` channels,

        φ(z) = exp(W·z − |z|²/2) / √m,   y = φ(q)·(φ(k)ᵀv) / (φ(q)·Σφ(k) + 1e-8),   v + proj(y)

    and no N×N matrix is formed. W (m, d) has orthogonal rows of length √m; it is drawn once and
    does not learn, so a buffer holds it, which state dicts keep and optimizers never see. m is half
    of d, 32 in the paper.

    In Performer rows are √d long, and φ(q)·φ(k) is exp(q·k) on average. At the released code's √m
    it is about exp(−|q − k|²/4): what counts is how near a key is to the query (computed by us).

    Args:
        in_dims: Channels of the tokens that come.
        token_dims: Channels of those that leave.
        drop_rate: Dropout probability after the output projection.
    """

    epsilon = 1e-8

    def __init__(self, in_dims: int, token_dims: int, drop_rate: float = 0.0) -> None:
        super().__init__()
        # Keys come first in the released weights.
        self.kqv = nn.Linear(in_dims, 3 * token_dims)
        self.proj = nn.Linear(token_dims, token_dims)
        self.out_drop = nn.Dropout(drop_rate)
        self.num_features = token_dims // 2
        w = nn.init.orthogonal_(torch.empty(self.num_features, token_dims))
        self.register_buffer('w', w * sqrt(self.num_features))

    def forward(self, x: Tensor) -> Tensor:
        """Attend: (B, N, in_dims) → (B, N, token_dims), the values added."""
        k, q, v = self.kqv(x).chunk(3, dim=-1)
        # φ reaches exp(m/2), 9e6 in the paper, and sums over N tokens: more than float16 holds.
        with torch.autocast(x.device.type, enabled=False):
            wide = torch.promote_types(v.dtype, torch.float32)
            attended = self._attend(q.to(wide), k.to(wide), v.to(wide))
        return v + self.out_drop(self.proj(attended.to(v.dtype)))

    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Queries, keys and values, each (B, N, d) → (B, N, d)."""
        q, k = self._features(q), self._features(k)
        # (B, m, N) · (B, N, d) → (B, m, d)
        sums = k.transpose(1, 2) @ v
        # (B, N, m) · (B, m, 1) → (B, N, 1)
        weights = q @ k.sum(dim=1).unsqueeze(-1)
        # Features are √m times those of the formula, and epsilon is m times as large: the fraction
        # is the same, but an epsilon of 1e-8 is taken for 0 by the optimizer of ONNX exports.
        return q @ sums / (weights + self.num_features * self.epsilon)

    def _features(self, z: Tensor) -> Tensor:
        """√m·φ: (B, N, d) → (B, N, m)."""
        half_norm = z.square().sum(dim=-1, keepdim=True) / 2
        return (z @ self.w.to(z.dtype).T - half_norm).exp()
