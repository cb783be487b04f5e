"""How images become patch tokens: the plain stem, and what every stem is asked."""

from mmcv.cnn.bricks.transformer import PatchEmbed
from mmpretrain.registry import MODELS


@MODELS.register_module()
class PatchStem(PatchEmbed):
    """One convolution over patches that do not overlap (ViT); mmcv's `PatchEmbed`.

    A stem of your own maps images (B, in_channels, height, width) of any size to tokens (B, H·W, C)
    and their grid (H, W) = (⌈height / patch_size⌉, ⌈width / patch_size⌉), zero-padding at bottom
    and right. Register it in mmpretrain's `MODELS`; it is built with the first three arguments
    below.

    Args:
        in_channels: Image channels.
        embed_dims: C.
        patch_size: Patch side in pixels.
        bias: Whether the convolution has a bias; CLIP's has none.
    """

    def __init__(
        self, in_channels: int, embed_dims: int, patch_size: int, bias: bool = True
    ) -> None:
        super().__init__(
            in_channels, embed_dims, kernel_size=patch_size, stride=patch_size, bias=bias
        )
