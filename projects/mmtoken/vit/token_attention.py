"""Multi-head self-attention over tokens, global or in windows, that carries the trace along."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from mmtoken.checks import check_whole
from mmtoken.errors import UserError
from mmtoken.tokens import Tokens

from .building import PROJECTION, build_part
from .fused_attention import traced_attention
from .windows import join_windows, split_windows, window_mask


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
        check_whole('num_heads', num_heads, example=3)
        if embed_dims % num_heads:
            raise UserError(
                f'embed_dims {embed_dims} is not a multiple of num_heads {num_heads}; '
                'change one of them'
            )
        self.num_heads = num_heads
        self.attn_drop = attn_drop
        self.window_size = window_size
        options = dict(embed_dims=embed_dims, bias=qkv_bias)
        self.qkv = build_part('projection', projection, PROJECTION, **options)
        self.proj = nn.Linear(embed_dims, embed_dims)
        self.out_drop = nn.Dropout(proj_drop)

    def forward(self, tokens: Tokens) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Returns:
            The attended features (B, N, C), residual not added, and the new trace ½(Ā·trace +
            trace) (B, N, M) or None.
        """
        q, k, v = self.heads(tokens)
        attend = self._attend_in_windows if self.splits(tokens.grid) else self._attend
        out, mixed = attend(q, k, v, tokens)
        # (B, h, N, d) → (B, N, h, d) → (B, N, C)
        x = self.out_drop(self.proj(out.transpose(1, 2).flatten(2)))
        return x, None if mixed is None else 0.5 * (mixed + tokens.trace)

    def heads(self, tokens: Tokens) -> Iterator[Tensor]:
        """q, k and v of every head, (B, h, N, d) each."""
        # (B, N, C) → (B, N, h, d) → (B, h, N, d)
        return (t.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for t in self.qkv(tokens))

    def splits(self, grid: tuple[int, int]) -> bool:
        """Whether a grid has more than one window."""
        return 0 < self.window_size < max(grid)

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, tokens: Tokens
    ) -> tuple[Tensor, Tensor | None]:
        return traced_attention(
            q, k, v, tokens.trace, dropout=self._dropout, exact=tokens.exact_trace
        )

    def _attend_in_windows(
        self, q: Tensor, k: Tensor, v: Tensor, tokens: Tokens
    ) -> tuple[Tensor, Tensor | None]:
        grid, size, num_aux, trace = tokens.grid, self.window_size, tokens.num_aux, tokens.trace

        def split(t: Tensor) -> Tensor:
            return split_windows(t[:, :, num_aux:], grid, size, t[:, :, :num_aux])

        out, mixed = traced_attention(
            split_windows(q[:, :, num_aux:], grid, size),
            split(k),
            split(v),
            None if trace is None else split(trace.unsqueeze(1)).squeeze(1),
            window_mask(q, grid, size, num_aux),
            self._dropout,
            tokens.exact_trace,
        )
        out = join_windows(out, q.shape[0], grid, size)
        if mixed is not None:
            mixed = join_windows(mixed.unsqueeze(1), q.shape[0], grid, size).squeeze(1)
        if num_aux:
            aux, aux_mixed = traced_attention(
                q[:, :, :num_aux], k, v, trace, None, self._dropout, tokens.exact_trace
            )
            out = torch.cat([aux, out], dim=2)
            mixed = None if mixed is None else torch.cat([aux_mixed, mixed], dim=1)
        return out, mixed

    @property
    def _dropout(self) -> float:
        return self.attn_drop if self.training else 0.0
