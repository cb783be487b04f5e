"""Who attends to whom: what one layer computes from queries and keys, and several may use."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mmtoken.tokens import Tokens

from .fused_attention import traced_attention
from .known import known
from .windows import join_windows, split_windows, window_mask

# Up to so many keys a map that several layers use is formed once and kept; beyond them, and on
# other devices, each layer's fused call forms it anew from the same queries and keys. Kept, a pair
# of layers takes 0.90 to 0.99 of the time at 197 to 1,025 tokens, and up to 485 of them 1.1 to 1.3
# times the memory; beyond that memory grows to 1.9 times (docs/benchmark.md, the preset sharing).
KEPT_KEYS = {'cpu': 512}


@dataclass
class AttentionMap:
    """softmax(q·kᵀ/√d) of every head, as the queries and keys that it is made of.

    Args:
        q: Queries, (B, h, Q, d).
        k: Keys, (B, h, N, d).
        mask: Which keys may be attended to, broadcastable to (B, h, 1, N), or None for all.
        weights: The map itself, (B, h, Q, N), where it is kept.
    """

    q: Tensor
    k: Tensor
    mask: Tensor | None = None
    weights: Tensor | None = None

    def attend(
        self, v: Tensor, tokens: Tokens, dropout: float = 0.0
    ) -> tuple[Tensor, Tensor | None]:
        """Apply the map to values, and its mean over the heads to the trace.

        Args:
            v: Values, (B, h, N, d).
            tokens: Whose trace is carried along, where they have one.
            dropout: Probability to drop an attention weight, drawn anew at each use.

        Returns:
            The attended values (B, h, Q, d) and Ā·trace (B, Q, M) or None.
        """
        return self._attend(v, tokens.trace, dropout, tokens.exact_trace)

    def _attend(
        self, v: Tensor, trace: Tensor | None, dropout: float, exact: bool
    ) -> tuple[Tensor, Tensor | None]:
        if self.weights is None or trace is not None:
            return traced_attention(self.q, self.k, v, trace, self.mask, dropout, exact)
        return F.dropout(self.weights, dropout) @ v, None

    def kept(self) -> AttentionMap:
        """With the map itself, where it is smaller work to keep than to form again."""
        if not known(self.k.shape[2] <= KEPT_KEYS.get(self.k.device.type, 0)):
            return self
        scores = (self.q * self.q.shape[-1] ** -0.5) @ self.k.transpose(-2, -1)
        if self.mask is not None:
            scores = scores.masked_fill(~self.mask, -torch.inf)
        return AttentionMap(self.q, self.k, self.mask, scores.softmax(dim=-1))


@dataclass
class WindowedMap:
    """The map where patches see the auxiliary tokens and their own window, and auxiliary tokens
    see everything.

    Args:
        windows: Of the patches of each window, (B·R·Q, h, s², A + s²).
        aux: Of the auxiliary tokens, (B, h, A, N), or None where there are none.
        size: Patches per window side, s.
    """

    windows: AttentionMap
    aux: AttentionMap | None
    size: int

    def attend(
        self, v: Tensor, tokens: Tokens, dropout: float = 0.0
    ) -> tuple[Tensor, Tensor | None]:
        """As `AttentionMap.attend`, of all tokens."""
        grid, num_aux, trace, exact = tokens.grid, tokens.num_aux, tokens.trace, tokens.exact_trace

        def split(t: Tensor) -> Tensor:
            return split_windows(t[:, :, num_aux:], grid, self.size, t[:, :, :num_aux])

        traces = None if trace is None else split(trace.unsqueeze(1)).squeeze(1)
        out, mixed = self.windows._attend(split(v), traces, dropout, exact)
        out = join_windows(out, v.shape[0], grid, self.size)
        if mixed is not None:
            mixed = join_windows(mixed.unsqueeze(1), v.shape[0], grid, self.size).squeeze(1)
        if self.aux is not None:
            aux, aux_mixed = self.aux._attend(v, trace, dropout, exact)
            out = torch.cat([aux, out], dim=2)
            mixed = None if mixed is None else torch.cat([aux_mixed, mixed], dim=1)
        return out, mixed

    def kept(self) -> WindowedMap:
        """As `AttentionMap.kept`."""
        aux = None if self.aux is None else self.aux.kept()
        return WindowedMap(self.windows.kept(), aux, self.size)


def window_map(q: Tensor, k: Tensor, tokens: Tokens, size: int) -> WindowedMap:
    """Cut the queries and keys of all tokens into windows.

    Args:
        q: Queries, (B, h, N, d).
        k: Keys, (B, h, N, d).
        tokens: Whose grid and auxiliary tokens they are of.
        size: Patches per window side, s.
    """
    grid, num_aux = tokens.grid, tokens.num_aux
    windows = AttentionMap(
        split_windows(q[:, :, num_aux:], grid, size),
        split_windows(k[:, :, num_aux:], grid, size, k[:, :, :num_aux]),
        window_mask(q, grid, size, num_aux),
    )
    return WindowedMap(windows, AttentionMap(q[:, :, :num_aux], k) if num_aux else None, size)
