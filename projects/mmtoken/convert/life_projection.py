"""LIFE's projection, in the names of the released code and in ours."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from .rules import Rule

# The first is a linear map; each further one has a depthwise and a pointwise convolution.
_FURTHER = range(2, 10)


def scale_rules(old: str, new: str) -> tuple[Rule, ...]:
    """The rules of the convolutions of the further scales.

    Args:
        old: The pattern of the projection's name.
        new: Its name here, in which groups of `old` may stand.
    """
    return tuple(
        Rule(
            rf'{old}\.scale{scale}\.(?P<part>depthwise|pointwise)\.weight',
            rf'{new}.\g<part>.{scale - 2}.weight',
        )
        for scale in _FURTHER
    )


def describe_projection(state: Mapping[str, Tensor], attention: str) -> dict:
    """The config of a `LIFEProjection`, by its weights.

    Args:
        state: Weights by our names.
        attention: What precedes the projection's name.
    """
    names = (f'{attention}qkv.depthwise.{scale - 2}.weight' for scale in _FURTHER)
    kernels = tuple(state[name].shape[-1] for name in names if name in state)
    given = {} if kernels == (3, 5) else dict(kernel_sizes=kernels)
    return dict(type='LIFEProjection', **given)
