"""LV-ViT's stem of convolutions in the place of the projection of patches."""

from mmcv.cnn.bricks.transformer import AdaptivePadding
from mmpretrain.models.utils import build_norm_layer
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmtoken.errors import UserError
from mmtoken.vit.building import complete

BATCH_NORM = dict(type='BN')


@MODELS.register_module()
class ConvStem(nn.Module):
    """Three convolutions at half the resolution, then a projection of patches (LV-ViT, arXiv
    2104.10858; released code, stem "4_2").

    A 7×7 convolution of stride 2 and two 3×3, each without bias and with norm and ReLU, and a
    convolution of kernel and stride patch_size / 2. Any stem takes the place of any other:
    `TokenViT(stem=dict(type='ConvStem'))`.

    Args:
        in_channels: Image channels.
        embed_dims: C.
        patch_size: Patch side in pixels, the stem's whole stride; even, 16 in the paper.
        stem_channels: Channels of the first three convolutions.
        norm_cfg: Config of their norms, `dict(type='BN')` by default; `SyncBN` where several
            processes have few images each.

    Raises:
        UserError: If the patch size is odd.
    """

    def __init__(
        self,
        in_channels: int,
        embed_dims: int,
        patch_size: int,
        stem_channels: int = 64,
        norm_cfg: dict | None = None,
    ) -> None:
        super().__init__()
        if patch_size % 2:
            raise UserError(
                f'patch_size {patch_size} is odd, and the first convolution of ConvStem halves '
                f'the image; use {patch_size + 1}, or the stem PatchStem'
            )
        norm_cfg, channels = complete(norm_cfg, BATCH_NORM), stem_channels
        self.pad = AdaptivePadding(kernel_size=patch_size, stride=patch_size, padding='corner')
        self.conv1 = nn.Conv2d(in_channels, channels, 7, stride=2, padding=3, bias=False)
        self.bn1 = build_norm_layer(norm_cfg, channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = build_norm_layer(norm_cfg, channels)
        self.conv3 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn3 = build_norm_layer(norm_cfg, channels)
        self.relu = nn.ReLU(inplace=True)
        side = patch_size // 2
        self.projection = nn.Conv2d(channels, embed_dims, side, stride=side)

    def forward(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """Turn images into patch tokens.

        Args:
            images: (B, in_channels, height, width), any height and width.

        Returns:
            The tokens (B, H·W, C) and their grid (H, W).
        """
        x = self.pad(images)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.relu(self.bn3(self.conv3(x)))
        x = self.projection(x)
        # (B, C, H, W) → (B, H·W, C)
        return x.flatten(2).transpose(1, 2), tuple(x.shape[2:])
