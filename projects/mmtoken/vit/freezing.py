"""What of a backbone does not learn: what the user freezes, and what does not run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from .token_vit import TokenViT


def frozen_modules(backbone: TokenViT) -> list[nn.Module]:
    """What `frozen_stages` freezes, parameters of the backbone's own excepted."""
    if backbone.frozen_stages < 0:
        return []
    embedding = (backbone.patch_embed, backbone.drop_after_pos)
    return [*embedding, *_layers_and_pools(backbone, 0, backbone.frozen_stages)]


def freeze(backbone: TokenViT) -> None:
    """Let neither the frozen stages learn nor the layers above the last output."""
    unused = _layers_and_pools(backbone, backbone.num_running, backbone.num_layers)
    for module in (*frozen_modules(backbone), *unused):
        module.requires_grad_(False)
    if backbone.frozen_stages >= 0:
        for parameter in backbone.embedding_parameters():
            parameter.requires_grad_(False)


def _layers_and_pools(backbone: TokenViT, start: int, stop: int) -> list[nn.Module]:
    pools = [pool for index, pool in backbone.pools.items() if start <= int(index) < stop]
    return [*backbone.layers[start:stop], *pools]
