"""A transformer layer that makes wide tokens narrow."""

from __future__ import annotations

from mmcv.cnn.bricks.transformer import FFN
from torch import Tensor, nn


class TokenLayer(nn.Module):
    """Pre-norm attention and MLP between two soft splits (T2T-ViT, arXiv 2101.11986; released
    code).

    The tokens that come are wider than those that leave, so attention has its values as the
    residual, and what came is not added. The MLP is as wide as the tokens that leave. Parameter
    names are those of mmpretrain's `T2TTransformerLayer`.

    Args:
        attention: Maps tokens (B, N, in_dims) to (B, N, token_dims), residual included.
        in_dims: Channels of the tokens that come.
        token_dims: Channels of those that leave.
        drop_rate: Dropout probability after the MLP.
    """

    def __init__(
        self, attention: nn.Module, in_dims: int, token_dims: int, drop_rate: float = 0.0
    ) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(in_dims)
        self.attn = attention
        self.ln2 = nn.LayerNorm(token_dims)
        # Dropout at the end alone, not between the linear maps, as in the released performer.
        self.ffn = FFN(
            token_dims,
            token_dims,
            act_cfg=dict(type='GELU'),
            dropout_layer=dict(type='Dropout', drop_prob=drop_rate),
            add_identity=False,
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, in_dims) → (B, N, token_dims)."""
        x = self.attn(self.ln1(x))
        return x + self.ffn(self.ln2(x))
