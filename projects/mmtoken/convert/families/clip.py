"""What the layouts of CLIP share: they do not say which activation their weights were trained
with.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from ..conversion import Hints
from ..describe import describe_vit, refuse_unknown_activation
from ..rules import Renamed

EPS = 1e-5
ACTIVATIONS = 'QuickGELU for those of OpenAI, MetaCLIP and DFN, GELU for those of LAION'


def describe_clip(renamed: Renamed, hints: Hints, activation: str | None = None) -> dict:
    """The config of CLIP's image model.

    Args:
        renamed: Weights by our names.
        hints: What the user says.
        activation: What the file says of it, if anything.

    Raises:
        UserError: If nothing says with which activation the weights were trained.
    """
    if hints.activation is None and activation:
        hints = replace(hints, activation=activation)
    if hints.activation is None:
        first = next(old for old, fate in renamed.report.items() if fate.into)
        refuse_unknown_activation(first, 'CLIP', ACTIVATIONS)
    return describe_vit(renamed, hints, eps=EPS)


def as_token(embedding: Tensor) -> Tensor:
    """A class embedding as a token: (C) → (1, 1, C)."""
    return embedding.reshape(1, 1, -1)


def as_position(embedding: Tensor) -> Tensor:
    """A table of positions as an embedding: (1 + H·W, C) → (1, 1 + H·W, C)."""
    return embedding.unsqueeze(0)
