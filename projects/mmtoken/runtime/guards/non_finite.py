"""What of a training step is not finite: looked for in one reading, named only where there is."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite

import torch
from mmengine.dist import all_reduce
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from torch.optim import Optimizer

# Micro-batches between two steps; a model that never steps keeps no more of them.
_MOST_BATCHES = 1024
# Losses that a sentence names.
_MOST_LOSSES = 8


class LossRecord:
    """The losses of all micro-batches since the last step, as tensors: nothing waits for a GPU.

    Args:
        model: The model without wrappers. Its ``parse_losses``, which adds the losses up, is
            wrapped until :meth:`release`.
    """

    def __init__(self, model: nn.Module) -> None:
        # Not more than plain tensors in the closure, since EMA copies the model with all it has.
        self._kept = kept = deque(maxlen=_MOST_BATCHES)
        self._model = model if hasattr(model, 'parse_losses') else None
        if self._model is None:
            return
        original = model.parse_losses

        def parse_losses(losses: dict) -> tuple[Tensor, dict]:
            total, named = original(losses)
            kept.append((_detached(total), {name: _detached(v) for name, v in named.items()}))
            return total, named

        model.parse_losses = parse_losses

    def totals(self) -> list[Tensor]:
        """The sums that are propagated backward."""
        return [total for total, _ in self._kept if isinstance(total, Tensor)]

    def named(self) -> dict[str, float]:
        """The losses by name, of the first micro-batch where one is not finite, else of the last.

        Those that are not finite stand in front.
        """
        found: dict[str, float] = {}
        for _, named in self._kept:
            found = {name: float(value) for name, value in named.items() if 'loss' in name}
            if not all(map(isfinite, found.values())):
                break
        return dict(sorted(found.items(), key=lambda item: isfinite(item[1])))

    def clear(self) -> None:
        """Forget them: a step was made of them, or none will be."""
        self._kept.clear()

    def release(self) -> None:
        """Leave the model as it was found."""
        if self._model is not None:
            vars(self._model).pop('parse_losses', None)


def _detached(value: Tensor | float) -> Tensor | float:
    return value.detach() if isinstance(value, Tensor) else value


class BufferRecord:
    """A model's buffers, such as the statistics of its batch norms, as they were before a step.

    Args:
        model: The model without wrappers.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._kept: dict[str, Tensor] = {}

    def take(self) -> None:
        """Keep them as they are."""
        self._kept = {name: buffer.clone() for name, buffer in self._model.named_buffers()}

    @torch.no_grad()
    def restore(self) -> None:
        """Make them what they were."""
        for name, buffer in self._model.named_buffers():
            if name in self._kept:
                buffer.copy_(self._kept[name])


@dataclass(frozen=True)
class Flags:
    """What a step has, on any of the processes.

    Args:
        loss: A loss that is not finite.
        gradient: A gradient that is not finite, or so large that its norm is not.
        overflow: A gradient scaler that found one and lets the optimizer skip the step.
    """

    loss: bool
    gradient: bool
    overflow: bool = False


def look(optimizer: Optimizer, totals: Sequence[Tensor]) -> Flags:
    """Look at all losses and gradients of a step; the device is waited for once.

    Args:
        optimizer: The optimizer that is about to step.
        totals: The losses that were propagated backward.

    Returns:
        The flags, alike on all processes.
    """
    gradients = [_values(p.grad) for p in parameters_of(optimizer) if p.grad is not None]
    device = (gradients or totals or [torch.zeros(())])[0].device
    bad = torch.zeros(3, device=device)
    if totals:
        bad[0] = ~torch.stack([total.float().to(device) for total in totals]).isfinite().all()
    if gradients:
        bad[1] = ~get_total_norm(gradients).isfinite()
    # What a gradient scaler tells optimizers that skip by themselves (the fused ones).
    overflow = getattr(optimizer, 'found_inf', None)
    if overflow is not None:
        bad[2] = overflow
    all_reduce(bad, op='max')
    return Flags(*(value > 0 for value in bad.tolist()))


def look_at_losses(totals: Sequence[Tensor]) -> Flags:
    """Look at the losses of a step that a gradient scaler left out.

    Args:
        totals: The losses that were propagated backward.

    Returns:
        The flags, alike on all processes.
    """
    bad = torch.zeros(1)
    if totals:
        bad[0] = float(
            not torch.stack([t.float().to(totals[0].device) for t in totals]).isfinite().all()
        )
    all_reduce(bad, op='max')
    return Flags(loss=bool(bad > 0), gradient=False, overflow=True)


def parameters_of(optimizer: Optimizer) -> Iterable[nn.Parameter]:
    """The parameters that an optimizer steps."""
    return (parameter for group in optimizer.param_groups for parameter in group['params'])


def bad_gradients(model: nn.Module, optimizer: Optimizer) -> list[str]:
    """Names of the parameters whose gradients have an element that is not finite.

    Args:
        model: The model, which knows their names.
        optimizer: The optimizer.
    """
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [
        names.get(id(parameter), 'a parameter without a name')
        for parameter in parameters_of(optimizer)
        if parameter.grad is not None and not _values(parameter.grad).isfinite().all()
    ]


@torch.no_grad()
def bad_weights(model: nn.Module) -> list[str]:
    """Names of the trained parameters with an element that is not finite.

    Args:
        model: The model.
    """
    trained = {name: _values(p) for name, p in model.named_parameters() if p.requires_grad}
    if not trained or get_total_norm(trained.values()).isfinite():
        return []
    return [name for name, values in trained.items() if not values.isfinite().all()]


def _values(tensor: Tensor) -> Tensor:
    """What a tensor holds, as real numbers of this process."""
    if hasattr(tensor, 'to_local'):  # one that is shared between processes
        tensor = tensor.to_local()
    if tensor.layout is not torch.strided:
        tensor = tensor._values() if tensor.layout is torch.sparse_coo else tensor.values()
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def losses_text(losses: dict[str, float]) -> str:
    """Losses as a sentence names them."""
    named = [f'{name} {value:.4g}' for name, value in losses.items()]
    return ', '.join(named[:_MOST_LOSSES]) + (', ...' if len(named) > _MOST_LOSSES else '')
