"""T2T-ViT's stem of soft splits in the place of the projection of patches."""

from __future__ import annotations

import torch.nn.functional as F
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmtoken.checks import check_probability, check_whole
from mmtoken.errors import UserError

from .performer_attention import PerformerAttention
from .softmax_attention import SoftmaxAttention
from .token_layer import TokenLayer

# Kernel, stride and padding of each soft split, in pixels or tokens of the split before.
SPLITS = ((7, 4, 2), (3, 2, 1), (3, 2, 1))
STRIDE = 16
ATTENTIONS = {'performer': PerformerAttention, 'transformer': SoftmaxAttention}
# Of the released code, which has it fixed.
DROP_RATES = {'performer': 0.1, 'transformer': 0.0}


@MODELS.register_module()
class T2TStem(nn.Module):
    """Three soft splits with a transformer layer after each of the first two (Tokens-to-Token ViT,
    arXiv 2101.11986; released code, `T2T_module`).

    A soft split makes one token of the pixels, or of the tokens, in a square that overlaps its
    neighbors. Images are zero-padded at the bottom and right to multiples of 16 first (our design;
    the released code takes square images alone), so that the grids are exact: a quarter of the
    sides, an eighth, a sixteenth. Any stem takes the place of any other:
    `TokenViT(stem=dict(type='T2TStem'))`.

    Both layers let every token see all others. What they mix is in no trace and no roll-out, which
    start at the tokens that the stem makes.

    Args:
        in_channels: Image channels.
        embed_dims: C.
        patch_size: The stem's whole stride in pixels, 16.
        token_layer: Attention of the layers between splits: 'performer', of random features, whose
            memory grows with the pixels, or 'transformer', the softmax of the paper's "-t" models,
            fused.
        token_dims: Channels of the tokens between splits.
        drop_rate: Dropout probability after the output projections and MLPs of these layers; by
            default the released code's, 0.1 with 'performer' and 0 with 'transformer'.

    Raises:
        UserError: If an argument has no meaning, or the patch size is not 16; the message names it.
    """

    def __init__(
        self,
        in_channels: int,
        embed_dims: int,
        patch_size: int = STRIDE,
        token_layer: str = 'performer',
        token_dims: int = 64,
        drop_rate: float | None = None,
    ) -> None:
        super().__init__()
        if patch_size != STRIDE:
            raise UserError(
                f'patch_size {patch_size!r} is not {STRIDE}, the stride of the three soft splits '
                f'of T2TStem; use {STRIDE}, or the stem PatchStem'
            )
        if token_layer not in (kinds := tuple(ATTENTIONS)):
            raise UserError(f'token_layer {token_layer!r} is unknown; use one of {kinds}')
        # Half of them are random features.
        check_whole('token_dims', token_dims, least=2, example=64)
        if drop_rate is None:
            drop_rate = DROP_RATES[token_layer]
        check_probability('drop_rate', drop_rate)
        first, second, third = (
            channels * kernel**2
            for channels, (kernel, *_) in zip(
                (in_channels, token_dims, token_dims), SPLITS, strict=True
            )
        )
        attention = ATTENTIONS[token_layer]
        self.attention1, self.attention2 = (
            TokenLayer(attention(width, token_dims, drop_rate), width, token_dims, drop_rate)
            for width in (first, second)
        )
        self.projection = nn.Linear(third, embed_dims)

    def forward(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Turn images into patch tokens.

        Args:
            images: (B, in_channels, height, width), any height and width.

        Returns:
            The tokens (B, H·W, C) and their grid (H, W).
        """
        # Even where there is nothing to pad: an exported graph would hold to it for every image.
        maps = F.pad(images, (0, -images.shape[3] % STRIDE, 0, -images.shape[2] % STRIDE))
        for split, layer in zip(SPLITS, (self.attention1, self.attention2), strict=False):
            x, grid = soft_split(maps, *split)
            # (B, N, d) → (B, d, N) → (B, d, H′, W′)
            maps = layer(x).transpose(1, 2).unflatten(2, grid)
        x, grid = soft_split(maps, *SPLITS[-1])
        return self.projection(x), grid


def soft_split(
    maps: Tensor, kernel: int, stride: int, padding: int
) -> tuple[Tensor, tuple[int, int]]:
    """Make one token of each square of a map.

    Args:
        maps: (B, c, height, width), both multiples of the stride.
        kernel: Side of the squares.
        stride: From square to square.
        padding: Zeros around the map.

    Returns:
        The tokens (B, H·W, c·kernel²), a view, each channel's square in one piece; and their grid
        (H, W) = (height / stride, width / stride).
    """
    grid = (maps.shape[2] // stride, maps.shape[3] // stride)
    # (B, c, height, width) → (B, c·kernel², H·W) → (B, H·W, c·kernel²)
    return F.unfold(maps, kernel, padding=padding, stride=stride).transpose(1, 2), grid
