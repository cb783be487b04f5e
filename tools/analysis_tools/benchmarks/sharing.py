"""A layer that shares the map of the one before it, over a full one, in pairs: what a source does
to hand its map on counts as well. Layers of DeiT-T, at 197 tokens (224 px) and 1,025 (512 px)."""

from functools import partial

from mmtoken.experiments.benchmark_rows import Preset, Ratio, Row
from mmtoken.tokens import Tokens
from mmtoken.vit import TokenViT

from torch import Tensor, nn

LAYERS = 6


class Layers(nn.Module):
    """Layers alone, over tokens of a grid that an image of a size has with patches of 16 px.

    Args:
        pattern: F or S for each layer.
    """

    def __init__(self, pattern: str) -> None:
        super().__init__()
        arch = dict(embed_dims=192, num_layers=LAYERS, num_heads=3, feedforward_channels=768)
        self.layers = nn.Sequential(*TokenViT(arch, pattern=pattern).layers)

    def forward(self, images: Tensor) -> Tensor:
        """The features that leave the last layer."""
        rows, columns = (side // 16 for side in images.shape[2:])
        # Numbers of the image itself, which has 768·H·W of them, in the shape (B, 1 + H·W, C).
        count = 1 + rows * columns
        x = images.flatten(1)[:, : count * 192].unflatten(1, (count, 192))
        return self.layers(Tokens(x, (rows, columns), 1)).x


def build(pattern: str, img_size: int) -> nn.Module:
    """The layers of a pattern."""
    return Layers(pattern)


def total(model: nn.Module, images: Tensor) -> Tensor:
    """The mean square of the features."""
    return model(images).square().mean()


# A sharing layer of x times a full one's time makes a pair (1 + x) / 2 of two full ones: 0.95 and
# 0.975 for x = 0.90 and 0.95.
PRESET = Preset(
    title='Pairs of layers, the second of which shares the map of the first (PSViT, our design)',
    rows=[
        Row('full, full', partial(build, 'F' * LAYERS), total),
        Row('full, sharing', partial(build, 'FS' * (LAYERS // 2)), total),
    ],
    ratios=[
        Ratio('full, sharing', 'full, full', target={224: 0.95, 512: 0.975}),
        Ratio('full, sharing', 'full, full', of='memory'),
    ],
    cases=[(224, 8), (512, 2)],
)
