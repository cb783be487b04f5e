"""The one value that flows between the layers of every backbone.

Shape letters, here and everywhere: B images, A auxiliary tokens, H×W patch grid, N = A + H·W
tokens, C channels, h heads, d head channels, M traced channels, K classes, L layers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch import Tensor

from .errors import UserError

if TYPE_CHECKING:
    from .vit.attention_map import AttentionMap, WindowedMap


@dataclass
class Tokens:
    """A batch of token sequences that remembers its grid.

    Args:
        x: Features, (B, A + H·W, C), the A auxiliary tokens (class, distillation) first.
        grid: Patch rows and patch columns, (H, W).
        num_aux: Number of auxiliary tokens, A.
        trace: M numbers that ride along with every token, (B, A + H·W, M), or None. Every attention
            replaces them by ½(Ā·trace + trace), Ā the head-mean of the attention before dropout,
            and pooling by their means; LayerNorm, projections, MLP and DropPath leave them alone.
        exact_trace: Whether the trace is mixed in its own type under mixed precision too.
        shared: Who attended to whom in the layer before, where the next one uses it again.
    """

    x: Tensor
    grid: tuple[int, int]
    num_aux: int
    trace: Tensor | None = None
    exact_trace: bool = False
    shared: AttentionMap | WindowedMap | None = None

    @property
    def aux(self) -> Tensor:
        """The auxiliary tokens, a (B, A, C) view."""
        return self.x[:, : self.num_aux]

    @property
    def patches(self) -> Tensor:
        """The patch tokens, a (B, H·W, C) view."""
        return self.x[:, self.num_aux :]

    def feature_map(self) -> Tensor:
        """The patch tokens as a contiguous (B, C, H, W) map.

        Contiguous, because mmcv's RoIAlign reads the channels-last memory that a bare permutation
        would leave as if it were channels-first (mmcv issue 2203).
        """
        # (B, H·W, C) → (B, C, H·W) → (B, C, H, W)
        return self.patches.transpose(1, 2).unflatten(2, self.grid).contiguous()

    def with_(self, **changes) -> Tokens:
        """A copy with some fields replaced; the other tensors are shared, not copied."""
        return replace(self, **changes)

    def start_trace(self, trace: Tensor | None, exact: bool) -> Tokens:
        """A copy that carries a trace from here on.

        Args:
            trace: (B, A + H·W, M), or None for none.
            exact: Whether it is mixed in its own type under mixed precision too.

        Raises:
            UserError: If there is not one number for every token.
        """
        if trace is not None and (trace.ndim != 3 or trace.shape[:2] != self.x.shape[:2]):
            raise UserError(
                f'trace has shape {tuple(trace.shape)}; expected (B, A + H*W, M) = '
                f'({len(self.x)}, {self.x.shape[1]}, M) for the grid {self.grid[0]}x{self.grid[1]}'
            )
        return self.with_(trace=trace, exact_trace=exact)
