"""Multi-head self-attention over tokens, global or in windows, that carries the trace in the same
fused call.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtoken.errors import UserError
from mmtoken.tokens import Tokens

from .projections import build_projection
from .windows import window_mask, window_partition, window_reverse


def traced_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    trace: Tensor | None = None,
    mask: Tensor | None = None,
    dropout: float = 0.0,
) -> tuple[Tensor, Tensor | None]:
    """softmax(q·kᵀ/√d)·v and, in the same fused call, the head-mean of that attention applied to
    the trace.

    The traced channels are appended to v, and q and k zero-padded to the same width, so that no N×N
    matrix is formed (`design.md`, "One mechanism for two papers"; our design). The width is padded
    to a multiple of 8, which the fused CUDA kernels ask for.

    Args:
        q: Queries, (B, h, Q, d).
        k: Keys, (B, h, N, d).
        v: Values, (B, h, N, d).
        trace: Traced numbers of the keys, (B, N, M), or None.
        mask: Which keys may be attended to, broadcastable to (B, h, Q, N), or None for all.
        dropout: Probability to drop an attention weight; the trace sees the attention before
            dropout.

    Returns:
        The attended values (B, h, Q, d) and Ā·trace (B, Q, M), or None where there is no trace.
    """
    scale = q.shape[-1] ** -0.5
    if trace is None:
        return F.scaled_dot_product_attention(q, k, v, mask, dropout, scale=scale), None
    # (B, N, M) → (B, h, N, M)
    traced = trace.to(v.dtype).unsqueeze(1).expand(-1, q.shape[1], -1, -1)
    if dropout > 0:
        _, mixed = traced_attention(q, k, v[..., :0], trace, mask)
        return F.scaled_dot_product_attention(q, k, v, mask, dropout, scale=scale), mixed
    width = max(q.shape[-1], v.shape[-1] + traced.shape[-1])
    width += -width % 8
    v_width = v.shape[-1]
    v = F.pad(torch.cat([v, traced], dim=-1), (0, width - v_width - traced.shape[-1]))
    q, k = (F.pad(t, (0, width - t.shape[-1])) for t in (q, k))
    out = F.scaled_dot_product_attention(q, k, v, mask, scale=scale)
    # (B, h, Q, M) → (B, Q, M)
    mixed = out[..., v_width : v_width + traced.shape[-1]].mean(dim=1).to(trace.dtype)
    return out[..., :v_width], mixed


class TokenAttention(nn.Module):
    """Multi-head self-attention over `Tokens`.

    With a window size, patches attend to the auxiliary tokens and to the patches of their own
    window, while auxiliary tokens attend to everything: full attention under a block mask, without
    the full matrix (our design; ViTDet drops the class token instead). The projection comes before
    the split, so LIFE's convolutions see the whole grid.

    Args:
        embed_dims: C.
        num_heads: h; must divide C.
        projection: Config of the q, k, v projection, built with `embed_dims` and `bias` added.
        qkv_bias: Whether the projection has a bias.
        attn_drop: Dropout probability of the attention weights.
        proj_drop: Dropout probability after the output projection.
        window_size: Patches per window side; 0 means global attention.

    Raises:
        UserError: If `num_heads` does not divide `embed_dims`.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        projection: dict,
        qkv_bias: bool = True,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        window_size: int = 0,
    ) -> None:
        super().__init__()
        if embed_dims % num_heads:
            raise UserError(
                f'embed_dims {embed_dims} is not a multiple of num_heads {num_heads}; change one '
                'of them'
            )
        self.num_heads = num_heads
        self.attn_drop = attn_drop
        self.window_size = window_size
        self.qkv = build_projection(projection, embed_dims, qkv_bias)
        self.proj = nn.Linear(embed_dims, embed_dims)
        self.out_drop = nn.Dropout(proj_drop)

    def forward(self, tokens: Tokens) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Returns:
            The attended features (B, N, C), residual not added, and the new trace ½(Ā·trace +
            trace) (B, N, M) or None.
        """
        # (B, N, C) → (B, N, h, d) → (B, h, N, d)
        q, k, v = (t.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for t in self.qkv(tokens))
        windowed = 0 < self.window_size < max(tokens.grid)
        attend = self._attend_in_windows if windowed else self._attend
        out, mixed = attend(q, k, v, tokens)
        # (B, h, N, d) → (B, N, h, d) → (B, N, C)
        x = self.out_drop(self.proj(out.transpose(1, 2).flatten(2)))
        return x, None if mixed is None else 0.5 * (mixed + tokens.trace)

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, tokens: Tokens
    ) -> tuple[Tensor, Tensor | None]:
        return traced_attention(q, k, v, tokens.trace, dropout=self._dropout)

    def _attend_in_windows(
        self, q: Tensor, k: Tensor, v: Tensor, tokens: Tokens
    ) -> tuple[Tensor, Tensor | None]:
        num_aux, grid, size, trace = tokens.num_aux, tokens.grid, self.window_size, tokens.trace
        windows = -(-grid[0] // size) * -(-grid[1] // size)

        def split(t: Tensor, with_aux: bool = True) -> Tensor:
            """(B, h, N, d) → (B·R·Q, h, A + s², d), auxiliary tokens repeated in every window."""
            patches = window_partition(t[:, :, num_aux:], grid, size)
            if with_aux and num_aux:
                aux = t[:, :, None, :num_aux].expand(-1, -1, windows, -1, -1)
                patches = torch.cat([aux, patches], dim=3)
            # (B, h, R·Q, A + s², d) → (B, R·Q, h, A + s², d) → (B·R·Q, h, A + s², d)
            return patches.transpose(1, 2).flatten(0, 1)

        mask = window_mask(grid, size, num_aux, q.device)
        if mask is not None:
            # (R·Q, 1, 1, A + s²) → (B·R·Q, 1, 1, A + s²)
            mask = mask.repeat(len(q), 1, 1, 1)
        out, mixed = traced_attention(
            split(q, with_aux=False),
            split(k),
            split(v),
            None if trace is None else split(trace.unsqueeze(1)).squeeze(1),
            mask,
            self._dropout,
        )
        # (B·R·Q, h, s², d) → (B, h, R·Q, s², d) → (B, h, H·W, d)
        out = window_reverse(out.unflatten(0, (-1, windows)).transpose(1, 2), grid, size)
        if mixed is not None:
            mixed = window_reverse(mixed.unflatten(0, (-1, windows)), grid, size)
        if num_aux:
            aux, aux_mixed = traced_attention(q[:, :, :num_aux], k, v, trace, dropout=self._dropout)
            out = torch.cat([aux, out], dim=2)
            mixed = None if mixed is None else torch.cat([aux_mixed, mixed], dim=1)
        return out, mixed

    @property
    def _dropout(self) -> float:
        return self.attn_drop if self.training else 0.0
