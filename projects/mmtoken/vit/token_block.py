"""One transformer layer over `Tokens`."""

import torch
from mmcv.cnn.bricks.drop import DropPath
from mmcv.cnn.bricks.transformer import FFN
from torch import Tensor, nn

from mmtoken.tokens import Tokens

from .building import NORM, build_norm
from .token_attention import TokenAttention


class TokenBlock(nn.Module):
    """Pre-norm attention and MLP, each with a residual; parameter names as in mmpretrain's
    `TransformerEncoderLayer`.

    Args:
        embed_dims: C.
        num_heads: h.
        feedforward_channels: Hidden channels of the MLP.
        projection: Config of the q, k, v projection.
        qkv_bias: Whether the projection has a bias.
        drop_rate: Dropout probability after the output projection and in the MLP.
        attn_drop_rate: Dropout probability of the attention weights.
        drop_path_rate: Probability to skip a branch for a whole image (stochastic depth).
        window_size: Patches per attention window side; 0 means global attention.
        norm_cfg: Config of the two norms.
        residual_scale: λ; both branches are divided by it before they are added (LV-ViT).
        shares: Whether the layer uses the attention map of the one before (PSViT).
        passes_on: Whether the layer after this one does.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        feedforward_channels: int,
        projection: dict,
        qkv_bias: bool = True,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        window_size: int = 0,
        norm_cfg: dict = NORM,
        residual_scale: float = 1.0,
        shares: bool = False,
        passes_on: bool = False,
    ) -> None:
        super().__init__()
        self.residual_scale = residual_scale
        self.ln1 = build_norm(norm_cfg, embed_dims)
        self.attn = TokenAttention(
            embed_dims,
            num_heads,
            projection,
            qkv_bias,
            attn_drop_rate,
            drop_rate,
            window_size,
            shares,
            passes_on,
        )
        self.drop_path = DropPath(drop_path_rate)
        self.ln2 = build_norm(norm_cfg, embed_dims)
        self.ffn = FFN(
            embed_dims,
            feedforward_channels,
            act_cfg=dict(type='GELU'),
            ffn_drop=drop_rate,
            dropout_layer=dict(type='DropPath', drop_prob=drop_path_rate),
            add_identity=False,
        )

    def forward(self, tokens: Tokens) -> Tokens:
        """Map `Tokens` to `Tokens` of the same shape."""
        attended = self.attn(tokens.with_(x=self.ln1(tokens.x)))
        x = self._add(tokens.x, self.drop_path(attended.x))
        return attended.with_(x=self._add(x, self.ffn(self.ln2(x))))

    def _add(self, x: Tensor, branch: Tensor) -> Tensor:
        return torch.add(x, branch, alpha=1 / self.residual_scale)
