"""The optimizers of a run, and what nothing else changes in a training step."""

from collections.abc import Iterator
from typing import Any

from mmengine.optim import OptimWrapperDict
from torch import Tensor
from torch.optim import Optimizer


def optimizers_of(wrapper: Any) -> list[Optimizer]:
    """The optimizers of one wrapper or a dict of them; none where torch does not call hooks before
    the step of each.

    Args:
        wrapper: What a runner steps.
    """
    wrappers = wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]
    found = [getattr(wrapper, 'optimizer', None) for wrapper in wrappers]
    # Torch prepares a step to call hooks where its own constructor is called.
    hooked = (
        isinstance(optimizer, Optimizer) and getattr(optimizer.step, 'hooked', False)
        for optimizer in found
    )
    return found if all(hooked) else []


def changed_by(optimizer: Optimizer) -> Iterator[Tensor]:
    """What nothing changes in a training step but the optimizer: trained weights and its states.

    Args:
        optimizer: The optimizer.
    """
    # Weights that are not trained may be averages, which a model updates as it goes forward.
    yield from (p for g in optimizer.param_groups for p in g['params'] if p.requires_grad)
    for state in optimizer.state.values():
        yield from (value for value in state.values() if isinstance(value, Tensor))
