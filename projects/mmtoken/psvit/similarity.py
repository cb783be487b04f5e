"""How much the attention maps of layers resemble each other: what PSViT's sharing rests on."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from mmtoken.vit import TokenViT


@torch.no_grad()
def map_similarity(backbone: TokenViT, images: Tensor) -> Tensor:
    """The cosine similarity of the head-mean maps of each two layers (our design; the paper,
    arXiv 2108.03428, states the similarity, and not how it was measured).

    The uniform map is taken off first, which all maps have in common: 0 is what two maps have that
    look at unrelated tokens, and a layer that shares has 1 with its source. Within windows all maps
    have the windows in common, which is not taken off.

    Args:
        backbone: In evaluation mode.
        images: (B, in_channels, height, width), as the data preprocessor makes them.

    Returns:
        (L, L), the mean over the images and over the tokens that look; nan where pooling makes the
        tokens of two layers others.
    """
    tokens, maps = backbone.embed(images), []
    for index, layer in enumerate(backbone.layers[: backbone.num_running]):
        if str(index) in backbone.pools:
            tokens = backbone.pools[str(index)](tokens)
        seen, values = layer.attn.map_and_values(tokens.with_(x=layer.ln1(tokens.x)))
        identity = torch.eye(values.shape[2], device=values.device, dtype=values.dtype)
        identity = identity.expand(*values.shape[:2], -1, -1)
        # (B, h, N, N) → (B, N, N)
        weights = seen.attend(identity, tokens)[0].mean(dim=1)
        maps.append(F.normalize(weights - weights.mean(dim=-1, keepdim=True), dim=-1))
        tokens = layer(tokens)
    found = torch.full((len(maps), len(maps)), torch.nan)
    for row, one in enumerate(maps):
        for column, other in enumerate(maps):
            if one.shape == other.shape:
                found[row, column] = (one * other).sum(dim=-1).mean()
    return found


def neighbors(found: Tensor, backbone: TokenViT) -> float:
    """The mean similarity of layers that follow each other over the same tokens, and do not share;
    nan for none.
    """
    pairs = found.diagonal(offset=1).clone()
    pairs[[plan.shares for plan in backbone.plans[1 : len(found)]]] = torch.nan
    return float(pairs.nanmean())


def plot_similarity(found: Tensor, title: str, path: Path) -> None:
    """Draw the similarities of all pairs.

    Args:
        found: (L, L), of `map_similarity`.
        title: Over the picture.
        path: The picture.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    count = len(found)
    side = 1.6 + 0.42 * count
    figure, panel = pyplot.subplots(figsize=(side + 0.8, side), layout='constrained')
    image = panel.imshow(found.numpy(), vmin=-1, vmax=1, cmap='RdBu_r')
    for row in range(count):
        for column in range(count):
            value = float(found[row, column])
            if value == value:
                color = 'w' if abs(value) > 0.6 else 'k'
                panel.text(
                    column, row, f'{value:.2f}', ha='center', va='center', fontsize=7, color=color
                )
    panel.set_xticks(range(count))
    panel.set_yticks(range(count))
    panel.set_xlabel('layer')
    panel.set_ylabel('layer')
    panel.set_title(title, fontsize=9)
    figure.colorbar(image, label='cosine similarity of attention maps', shrink=0.8)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
