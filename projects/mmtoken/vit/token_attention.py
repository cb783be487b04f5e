"""Multi-head self-attention over tokens, global or in windows, that carries the trace along."""

from __future__ import annotations

from mmcv.cnn.bricks.scale import LayerScale
from torch import Tensor, nn

from mmtoken.checks import check_whole
from mmtoken.errors import UserError
from mmtoken.tokens import Tokens

from .attention_map import AttentionMap, WindowedMap, window_map
from .building import NORM, build_norm, build_projection
from .rotary_position import NoRotation, RotaryPosition


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
        shares: Whether the map is that which the tokens bring along (PSViT), so that the projection
            makes values alone.
        passes_on: Whether the next layer shares the map.
        layer_scale_init_value: What its output is multiplied by at first, channel by channel; 0 for
            no such scale.
        qk_norm: Whether queries and keys are normed, head by head, before they are turned and meet.
        norm_cfg: Config of these norms.
        rotary: What turns queries and keys by their positions, if anything.

    Raises:
        UserError: If `num_heads` does not divide `embed_dims`, or the projection asks for windows.
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
        shares: bool = False,
        passes_on: bool = False,
        layer_scale_init_value: float = 0.0,
        qk_norm: bool = False,
        norm_cfg: dict = NORM,
        rotary: RotaryPosition | None = None,
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
        self.shares = shares
        self.passes_on = passes_on
        built = build_projection(projection, embed_dims, qkv_bias, values_only=shares)
        if getattr(built, 'scope', None) == 'window':
            raise UserError(
                "scope='window' of the projection has no meaning in a plain ViT, whose windows are "
                "cut after it; leave it out, or use scope='grid'"
            )
        setattr(self, 'value' if shares else 'qkv', built)
        heads_norm = qk_norm and not shares
        self.q_norm, self.k_norm = (
            build_norm(norm_cfg, embed_dims // num_heads) if heads_norm else nn.Identity()
            for _ in range(2)
        )
        self.turn = rotary or NoRotation()
        self.proj = nn.Linear(embed_dims, embed_dims)
        self.gamma1 = (
            LayerScale(embed_dims, scale=layer_scale_init_value)
            if layer_scale_init_value
            else nn.Identity()
        )
        self.out_drop = nn.Dropout(proj_drop)

    def forward(self, tokens: Tokens) -> Tokens:
        """Attend.

        Args:
            tokens: What attends; with the map of the layer before, where this one shares it.

        Returns:
            The attended features, residual not added, the new trace ½(Ā·trace + trace), if any,
            and the map, where the next layer shares it.
        """
        attention, v = self.map_and_values(tokens)
        if self.passes_on and not self.shares and tokens.trace is None:
            attention = attention.kept()
        out, mixed = attention.attend(v, tokens, self.attn_drop if self.training else 0.0)
        # (B, h, N, d) → (B, N, h, d) → (B, N, C)
        x = self.out_drop(self.gamma1(self.proj(out.transpose(1, 2).flatten(2))))
        trace = None if mixed is None else 0.5 * (mixed + tokens.trace)
        return tokens.with_(x=x, trace=trace, shared=attention if self.passes_on else None)

    def map_and_values(self, tokens: Tokens) -> tuple[AttentionMap | WindowedMap, Tensor]:
        """Who attends to whom, and the values of every head, (B, h, N, d).

        Raises:
            UserError: If the layer shares a map and the tokens bring none.
        """
        if self.shares:
            if tokens.shared is None:
                raise UserError(
                    'a layer that shares a map got tokens without one; the layer before it must '
                    'hand its own on: build both with a pattern such as FS'
                )
            # A layer that was built in full may share as well, as those of a supernet do.
            made = self.value(tokens) if hasattr(self, 'value') else self.qkv(tokens)[2]
            return tokens.shared, self._heads(made)
        # Of windows larger than the grid, there is one.
        q, k, v = (self._heads(t) for t in self.qkv(tokens))
        q, k = self.turn(self.q_norm(q), self.k_norm(k), tokens)
        if 0 < self.window_size < max(tokens.grid):
            return window_map(q, k, tokens, self.window_size), v
        return AttentionMap(q, k), v

    def _heads(self, t: Tensor) -> Tensor:
        # (B, N, C) → (B, N, h, d) → (B, h, N, d)
        return t.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
