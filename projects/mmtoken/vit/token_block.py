"""One transformer layer over `Tokens`."""

import torch
from mmcv.cnn.bricks.drop import DropPath
from torch import Tensor, nn

from mmtoken.tokens import Tokens

from .building import NORM, build_norm, build_part
from .mlps import MLP_CFG
from .rotary_position import RotaryPosition
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
        mlp: Config of the MLP, built with `embed_dims`, `feedforward_channels`, `drop_rate`,
            `drop_path_rate` and `layer_scale_init_value` added.
        layer_scale_init_value: What both branches are multiplied by at first, channel by channel
            (LayerScale, Touvron et al., arXiv 2103.17239); 0 for no such scales.
        qk_norm: Whether queries and keys are normed, head by head (Dehghani et al., arXiv
            2302.05442).
        rotary: What turns queries and keys by their positions, if anything.
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
        mlp: dict | None = None,
        layer_scale_init_value: float = 0.0,
        qk_norm: bool = False,
        rotary: RotaryPosition | None = None,
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
            layer_scale_init_value,
            qk_norm,
            norm_cfg,
            rotary,
        )
        self.drop_path = DropPath(drop_path_rate)
        self.ln2 = build_norm(norm_cfg, embed_dims)
        self.ffn = build_part(
            'mlp',
            mlp,
            MLP_CFG,
            embed_dims=embed_dims,
            feedforward_channels=feedforward_channels,
            drop_rate=drop_rate,
            drop_path_rate=drop_path_rate,
            layer_scale_init_value=layer_scale_init_value,
        )

    def forward(self, tokens: Tokens) -> Tokens:
        """Map `Tokens` to `Tokens` of the same shape."""
        attended = self.attn(tokens.with_(x=self.ln1(tokens.x)))
        x = self._add(tokens.x, self.drop_path(attended.x))
        return attended.with_(x=self._add(x, self.ffn(self.ln2(x))))

    def _add(self, x: Tensor, branch: Tensor) -> Tensor:
        return torch.add(x, branch, alpha=1 / self.residual_scale)
