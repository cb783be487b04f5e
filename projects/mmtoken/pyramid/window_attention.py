"""Attention within a window, by what tokens are and how they lie to each other."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmengine.model.weight_init import trunc_normal_
from torch import Tensor, nn

from mmtoken.checks import check_whole
from mmtoken.errors import UserError
from mmtoken.tokens import Tokens
from mmtoken.vit.building import build_projection
from mmtoken.vit.fused_attention import traced_attention
from mmtoken.vit.known import known

from .window_bias import pick_bias, relative_index


class WindowAttention(nn.Module):
    """Multi-head attention among the tokens of a window, with a learned bias for each relative
    position (Swin; CAT's inner-patch attention); parameter names as in mmpretrain's `WindowMSA`.

    It is fused, with bias and mask added to the scores. No fused kernel of processors has a
    gradient for what is added, so that training forms the weights there, in fewer steps than
    torch's own way to do so, and takes the trace through them.

    Args:
        embed_dims: C.
        num_heads: h; must divide C.
        window_size: Places per window side, s.
        projection: Config of the q, k, v projection, which sees a window as a grid unless its
            `scope` is 'grid'.
        qkv_bias: Whether it has a bias.
        qk_scale: What q·kᵀ is multiplied by; 1/√d by default.
        attn_drop: Dropout probability of the attention weights.

    Raises:
        UserError: If `num_heads` does not divide `embed_dims`, or the projection has an option
            without meaning here.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        window_size: int,
        projection: dict,
        qkv_bias: bool = True,
        qk_scale: float | None = None,
        attn_drop: float = 0.0,
    ) -> None:
        super().__init__()
        check_whole('num_heads', num_heads, example=3)
        if embed_dims % num_heads:
            raise UserError(
                f'embed_dims {embed_dims} is not a multiple of num_heads {num_heads}; '
                'change one of them'
            )
        self.num_heads, self.window_size = num_heads, window_size
        self.attn_drop = attn_drop
        self.qk_scale = qk_scale
        self.make_positions()
        # In the state dict, as they are in mmpretrain's.
        for name, value in self.made_of_window().items():
            self.register_buffer(name, value)
        self.qkv = build_projection(projection, embed_dims, qkv_bias)
        if getattr(self.qkv, 'aux_key', 'cascaded') != 'cascaded':
            raise UserError(
                f'aux_key={self.qkv.aux_key!r} of the projection has no meaning in a pyramid, '
                'which has no auxiliary tokens; leave it out'
            )
        self.proj = nn.Linear(embed_dims, embed_dims)

    def make_positions(self) -> None:
        """Add what `bias` learns."""
        table = torch.zeros((2 * self.window_size - 1) ** 2, self.num_heads)
        self.relative_position_bias_table = nn.Parameter(trunc_normal_(table, std=0.02))

    def made_of_window(self) -> dict[str, Tensor]:
        """The buffers that follow from the window, whatever is loaded."""
        return dict(relative_position_index=relative_index(self.window_size))

    @property
    def sees_grid(self) -> bool:
        """Whether the projection sees the whole grid before it is cut into windows."""
        return getattr(self.qkv, 'scope', None) == 'grid'

    def project(self, tokens: Tokens) -> tuple[Tensor, Tensor, Tensor]:
        """q, k and v of every token, each (B, N, C)."""
        return self.qkv(tokens)

    def scaled(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        """Queries and keys whose product, divided by √d, is what the bias is added to."""
        if self.qk_scale is not None:
            q = q * (self.qk_scale * q.shape[-1] ** 0.5)
        return q, k

    def bias(self) -> Tensor:
        """Of relative positions, (1, h, s², s²)."""
        return pick_bias(self.relative_position_bias_table, self.relative_position_index)

    def forward(
        self,
        projected: tuple[Tensor, Tensor, Tensor],
        trace: Tensor | None,
        mask: Tensor | None,
        exact: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend.

        Args:
            projected: q, k and v of one sequence a window, each (B·R·Q, s², C).
            trace: Its trace, (B·R·Q, s², M), or None.
            mask: What is added to the scores besides, (R·Q, 1, s², s²), or None.
            exact: As of `traced_attention`.

        Returns:
            The attended features, (B·R·Q, s², C), and Ā·trace or None.
        """
        q, k, v, bias = self._parts(projected)
        drop = self.attn_drop if self.training else 0.0
        # In low precision the fused call is the more exact one.
        formed = q.device.type == 'cpu' and _learns(bias) and not torch.is_autocast_enabled('cpu')
        if formed and (trace is None or q.dtype == trace.dtype):
            weights = _weights(q, k, bias, mask)
            mixed = None if trace is None else weights.detach().mean(dim=1) @ trace
            out = F.dropout(weights, drop) @ v
        else:
            if mask is not None:
                # (R·Q, h, s², s²) → (B·R·Q, h, s², s²)
                bias = bias + mask
                batch = q.shape[0] // mask.shape[0]
                alone = known(batch == 1) and not torch.jit.is_tracing()
                bias = bias if alone else bias.repeat(batch, 1, 1, 1)
            out, mixed = traced_attention(q, k, v, trace, bias, drop, exact)
        # (B·R·Q, h, s², d) → (B·R·Q, s², h, d)
        out = out.transpose(1, 2)
        if torch.compiler.is_exporting():
            # Else a view of what one fused kernel returns, and another may be taken later on.
            out = out.clone(memory_format=torch.contiguous_format)
        return self.proj(out.flatten(2)), mixed

    def weights(self, projected: tuple[Tensor, Tensor, Tensor], mask: Tensor | None) -> Tensor:
        """The attention itself, (B·R·Q, h, s², s²), for who wants to see it."""
        q, k, _, bias = self._parts(projected)
        return _weights(q, k, bias, mask)

    def _parts(
        self, projected: tuple[Tensor, Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Queries, keys and values of the heads, and the bias of their scores."""
        q, k, v = (self._heads(t) for t in projected)
        return *self.scaled(q, k), v, self.bias()

    def _heads(self, t: Tensor) -> Tensor:
        # (B·R·Q, s², C) → (B·R·Q, s², h, d) → (B·R·Q, h, s², d)
        return t.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


def _learns(bias: Tensor) -> bool:
    """Whether a step that is run as it stands needs the gradient of a bias."""
    as_it_stands = not (torch.compiler.is_compiling() or torch.jit.is_tracing())
    return as_it_stands and bias.requires_grad and torch.is_grad_enabled()


def _weights(q: Tensor, k: Tensor, bias: Tensor, mask: Tensor | None) -> Tensor:
    """The attention of windows, (B·R·Q, h, s², s²).

    Args:
        q: Queries, (B·R·Q, h, s², d).
        k: Keys, (B·R·Q, h, s², d).
        bias: (1, h, s², s²).
        mask: (R·Q, 1, s², s²), or None.
    """
    scores = q * q.shape[-1] ** -0.5 @ k.mT
    scores += bias
    if mask is not None:
        # What is added has no gradient, and that of the scores stays as it is.
        with torch.no_grad():
            # (B·R·Q, h, s², s²) → (B, R·Q, h, s², s²)
            scores.unflatten(0, (-1, len(mask))).add_(mask)
    return scores.softmax(dim=-1)
