"""What tests that compare our backbones with those of other projects share."""

from __future__ import annotations

import torch
from mmpretrain.registry import MODELS
from torch import Tensor, nn


def randomize(model: nn.Module, seed: int = 0) -> nn.Module:
    """Draw every parameter anew, such that signals keep their size and nothing is 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        drawn = torch.randn(parameter.shape, generator=generator)
        if parameter.ndim > 1 and not name.endswith(('token', 'tokens')):
            drawn /= parameter[0].numel() ** 0.5
        elif name.endswith(('weight', 'gamma', 'lambda1')):
            drawn = 1 + drawn / 4
        parameter.data.copy_(drawn)
    return model.eval()


def build_converted(conversion) -> nn.Module:
    """The backbone that a conversion describes, with its weights, all of them loaded."""
    backbone = MODELS.build(conversion.backbone)
    own = {
        name.removeprefix('backbone.'): value
        for name, value in conversion.state.items()
        if name.startswith('backbone.')
    }
    backbone.load_state_dict(own, strict=True)
    return backbone.eval()


@torch.no_grad()
def tokens_of_layers(backbone: nn.Module, images: Tensor) -> list[Tensor]:
    """What enters the first layer of a `TokenViT`, and what leaves each, (B, N, C) all of them."""
    seen = []
    hooks = [backbone.layers[0].register_forward_pre_hook(lambda _, given: seen.append(given[0].x))]
    for layer in backbone.layers:
        hooks.append(layer.register_forward_hook(lambda _, given, made: seen.append(made.x)))
    backbone(images)
    for hook in hooks:
        hook.remove()
    return seen


def largest_difference(ours: list[Tensor], theirs: list[Tensor]) -> float:
    """Between tokens of the same layers."""
    assert len(ours) == len(theirs)
    assert [t.shape for t in ours] == [t.shape for t in theirs]
    return max((a - b).abs().max().item() for a, b in zip(ours, theirs, strict=True))


def apart(ours: list[Tensor], theirs: list[Tensor]) -> float:
    """The largest difference, of the largest entry where that is above 1."""
    largest = max(tokens.abs().max().item() for tokens in theirs)
    return largest_difference(ours, theirs) / max(1.0, largest)
