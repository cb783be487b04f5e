"""A layer that shares the map of the one before it, over a full one, in pairs: what a source does
to hand its map on counts as well. Layers of DeiT-T, from 197 tokens (224 px) to 1,025 (512 px),
with the map kept, formed again, and as the number of keys decides (`KEPT_KEYS`).
"""

from functools import partial
from unittest.mock import patch

from mmtoken.experiments.benchmark_rows import Preset, Ratio, Row
from mmtoken.tokens import Tokens
from mmtoken.vit import TokenViT, attention_map

from torch import Tensor, nn

FULL, SHARING = 'FFFFFF', 'FSFSFS'


class Layers(nn.Module):
    """Layers alone, over tokens of a grid that an image of a size has with patches of 16 px.

    Args:
        pattern: F or S for each layer.
        kept: Up to how many keys a shared map is kept; None for the library's own number.
    """

    def __init__(self, pattern: str, kept: int | None = None) -> None:
        super().__init__()
        self.kept = kept
        arch = dict(embed_dims=192, num_layers=len(pattern), num_heads=3, feedforward_channels=768)
        self.layers = nn.Sequential(*TokenViT(arch, pattern=pattern).layers)

    def forward(self, images: Tensor) -> Tensor:
        """The features that leave the last layer."""
        rows, columns = (side // 16 for side in images.shape[2:])
        # Numbers of the image itself, which has 768·H·W of them, in the shape (B, 1 + H·W, C).
        count = 1 + rows * columns
        x = images.flatten(1)[:, : count * 192].unflatten(1, (count, 192))
        own = {} if self.kept is None else {images.device.type: self.kept}
        with patch.dict(attention_map.KEPT_KEYS, own):
            return self.layers(Tokens(x, (rows, columns), 1)).x


def build(pattern: str, kept: int | None, img_size: int) -> nn.Module:
    """The layers of a pattern."""
    return Layers(pattern, kept)


def total(model: nn.Module, images: Tensor) -> Tensor:
    """The mean square of the features."""
    return model(images).square().mean()


# A sharing layer of x times a full one's time makes a pair (1 + x) / 2 of two full ones: 0.95 and
# 0.975 for x = 0.90 and 0.95.
PRESET = Preset(
    title='Pairs of layers, the second of which shares the map of the first (PSViT, our design)',
    rows=[
        Row('full, full', partial(build, FULL, None), total),
        Row('full, sharing', partial(build, SHARING, None), total),
        Row('full, sharing: map kept', partial(build, SHARING, 10**9), total),
        Row('full, sharing: map formed again', partial(build, SHARING, 0), total),
    ],
    ratios=[
        Ratio('full, sharing', 'full, full', target={224: 0.95, 512: 0.975}),
        Ratio('full, sharing', 'full, full', of='memory'),
        Ratio('full, sharing: map kept', 'full, sharing: map formed again'),
        Ratio('full, sharing: map kept', 'full, sharing: map formed again', of='memory'),
    ],
    cases=[(224, 8), (320, 4), (352, 4), (384, 4), (448, 2), (512, 2)],
)
