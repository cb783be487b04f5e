"""A mixer and an MLP with a residual around each, in the orders that papers put the norms."""

from __future__ import annotations

from mmcv.cnn.bricks.drop import DropPath
from mmcv.cnn.bricks.transformer import FFN
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmtoken.tokens import Tokens
from mmtoken.vit.building import build_norm


class PyramidBlock(nn.Module):
    """Norm, mixer, norm, MLP (Swin, CAT); parameter names as in mmpretrain's `SwinBlock`.

    Args:
        mixer: What mixes tokens; maps `Tokens` to `Tokens`.
        embed_dims: C.
        feedforward_channels: Hidden channels of the MLP.
        drop_path_rate: Probability to skip a branch for a whole image.
        norm_cfg: Config of the norms.
    """

    def __init__(
        self,
        mixer: nn.Module,
        embed_dims: int,
        feedforward_channels: int,
        drop_path_rate: float,
        norm_cfg: dict,
    ) -> None:
        super().__init__()
        self.norm1 = self.first_norm(norm_cfg, embed_dims)
        self.attn = mixer
        self.drop_path = DropPath(drop_path_rate)
        self.norm2 = build_norm(norm_cfg, embed_dims)
        self.ffn = FFN(
            embed_dims, feedforward_channels, act_cfg=dict(type='GELU'), add_identity=False
        )

    @staticmethod
    def first_norm(norm_cfg: dict, embed_dims: int) -> nn.Module:
        """The norm of the mixer's branch."""
        return build_norm(norm_cfg, embed_dims)

    def entering(self, tokens: Tokens) -> Tokens:
        """What the mixer sees of tokens that enter the block."""
        return tokens.with_(x=norm_tokens(self.norm1, tokens.x))

    def forward(self, tokens: Tokens) -> Tokens:
        """Map `Tokens` to `Tokens` of the same shape."""
        mixed = self.attn(self.entering(tokens))
        x = tokens.x + self.drop_path(mixed.x)
        return mixed.with_(x=x + self.drop_path(self.ffn(norm_tokens(self.norm2, x))))


class PostNormBlock(PyramidBlock):
    """Mixer, norm, MLP, norm, each norm within its branch (Swin V2's res-post-norm).

    The norms start at zero as in the released code, and so a block as the identity.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        for norm in (self.norm1, self.norm2):
            for parameter in norm.parameters():
                nn.init.zeros_(parameter)

    def entering(self, tokens: Tokens) -> Tokens:
        """The tokens themselves."""
        return tokens

    def forward(self, tokens: Tokens) -> Tokens:
        """Map `Tokens` to `Tokens` of the same shape."""
        mixed = self.attn(tokens)
        x = tokens.x + self.drop_path(norm_tokens(self.norm1, mixed.x))
        return mixed.with_(x=x + self.drop_path(norm_tokens(self.norm2, self.ffn(x))))


class MixerFirstBlock(PyramidBlock):
    """Mixer, norm, MLP: the mixer, which has norms of its own, sees tokens as they are (DWNet)."""

    @staticmethod
    def first_norm(norm_cfg: dict, embed_dims: int) -> nn.Module:
        """None."""
        return nn.Identity()


def norm_tokens(norm: nn.Module, x: Tensor) -> Tensor:
    """Norm (B, N, C) over its channels; to a batch norm every token is a place of a map."""
    if isinstance(norm, _BatchNorm):
        # (B, N, C) → (B, C, N, 1), a view in channels-last memory
        return norm(x.transpose(1, 2).unsqueeze(-1)).squeeze(-1).transpose(1, 2)
    return norm(x)
