"""The roll-out: backward, by the gradient of the trace, for sets of tokens; forward for all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from .capture import Step
from .trace_gradient import trace_gradient

# Traced channels of one call: they widen the values of the attention, 64 channels a head at most.
CHANNELS = 64


@torch.no_grad()
def roll_back(steps: Sequence[Step], weights: Tensor) -> Tensor:
    """s^T·R of each set of tokens: where the tokens that left the last layer looked.

    R is the product over the steps, of ½(Ā_l + I) and of the means that pooling takes. Layer by
    layer, the gradient of the traced channels takes the sets back: with no pass forward first,
    since a linear map has the same gradient everywhere, and with a part of each N×N matrix at a
    time (`NUMBERS` of `transposed_attention.py`).

    Args:
        steps: Layers and the tokens that entered them.
        weights: The sets s, (S, N) over the tokens that left the last step.

    Returns:
        (S, N) over the tokens that entered the first step.
    """
    return torch.cat([_roll_back(steps, part) for part in weights.split(CHANNELS)])


def _roll_back(steps: Sequence[Step], weights: Tensor) -> Tensor:
    # (S, N) → (1, N, S)
    gradient = weights.T.unsqueeze(0)
    for step in reversed(steps):
        gradient = trace_gradient(step.layer, step.tokens, gradient)
    return gradient[0].T


@torch.no_grad()
def token_rows(steps: Sequence[Step]) -> Iterator[tuple[slice, list[Tensor]]]:
    """R of every depth, some of its columns at a time: where every token looked after each layer.

    Forward, the trace takes unit vectors through the layers: with as many traced channels as
    columns, one pass yields these columns of the roll-out up to each layer.

    Args:
        steps: Layers and the tokens that entered them.

    Yields:
        Which tokens are looked at, M of them, and for each step R up to it, (N, M) over the tokens
        that left it.
    """
    first = steps[0].tokens
    count = first.x.shape[1]
    for start in range(0, count, CHANNELS):
        places = slice(start, min(start + CHANNELS, count))
        trace = torch.zeros(1, count, places.stop - start, device=first.x.device)
        trace[0, places] = torch.eye(places.stop - start, device=first.x.device)
        found = []
        for step in steps:
            trace = step.layer(step.tokens.with_(trace=trace)).trace
            found.append(trace[0])
        yield places, found
