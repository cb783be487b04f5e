"""What the benchmark times: rows, the ratios between them, the step of a row, its peak memory."""

import json
import multiprocessing
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile


@dataclass(frozen=True)
class Case:
    """One input and what is done with it.

    Args:
        size: Height and width of the images in pixels.
        batch: Number of images.
        device: Where.
        mode: ``'train'`` (forward, loss, backward) or ``'infer'``.
        optimizer: Whether a training step ends with one of AdamW.
        amp: Autocast type, or None.
    """

    size: int
    batch: int
    device: str = 'cpu'
    mode: str = 'train'
    optimizer: bool = False
    amp: str | None = None


@dataclass(frozen=True)
class Row:
    """One thing to time.

    Args:
        name: Shown in the table; unique in a preset.
        build: Makes the model for an image size.
        loss: Maps model and images to a scalar.
        note: What else there is to say of it at an image size, below the table; or None.
    """

    name: str
    build: Callable[[int], nn.Module]
    loss: Callable[[nn.Module, Tensor], Tensor]
    note: Callable[[int], str] | None = None


@dataclass(frozen=True)
class Ratio:
    """Time or peak memory of one row over that of another, and the most it should be.

    Args:
        row: Name of the row.
        base: Name of the other.
        target: The most their ratio should be, or that by image size, or None.
        of: ``'time'`` or ``'memory'``.
    """

    row: str
    base: str
    target: float | Mapping[int, float] | None = None
    of: str = 'time'

    def target_at(self, size: int) -> float | None:
        """The target at an image size."""
        return self.target.get(size) if isinstance(self.target, Mapping) else self.target


@dataclass(frozen=True)
class Preset:
    """Rows that are timed together.

    Args:
        title: Heads the table.
        rows: What is timed.
        ratios: What is compared.
        cases: Image size and batch size, where the command line names none.
        modes: What can be timed of it; the first, where the command line names none.
        memory: Whether torch's allocator sees what the rows take, so that its peak says something.
    """

    title: str
    rows: Sequence[Row]
    ratios: Sequence[Ratio] = field(default_factory=tuple)
    cases: Sequence[tuple[int, int]] = ((224, 8),)
    modes: Sequence[str] = ('train', 'infer')
    memory: bool = True

    def row(self, name: str) -> Row:
        """The row of a name."""
        return next(row for row in self.rows if row.name == name)


class Step:
    """A row's model with its input, ready to be run again and again.

    Args:
        row: What to time.
        case: On which input.
    """

    def __init__(self, row: Row, case: Case) -> None:
        torch.manual_seed(0)
        self.row, self.case = row, case
        self.model = row.build(case.size).to(case.device).train(case.mode == 'train')
        self.images = torch.randn(case.batch, 3, case.size, case.size, device=case.device)
        self.optimizer = torch.optim.AdamW(self.model.parameters()) if case.optimizer else None

    def clear(self) -> None:
        """Drop the gradients of the last run, outside what is timed."""
        self.model.zero_grad(set_to_none=True)

    def run(self) -> None:
        """Do the step once."""
        kind = self.case.device.partition(':')[0]
        amp = getattr(torch, self.case.amp) if self.case.amp else torch.float32
        training = self.case.mode == 'train'
        with torch.set_grad_enabled(training):
            with torch.autocast(kind, amp, enabled=self.case.amp is not None):
                loss = self.row.loss(self.model, self.images)
            if training:
                loss.backward()
                if self.optimizer is not None:
                    self.optimizer.step()

    def synchronize(self) -> None:
        """Wait for the device."""
        if self.case.device.startswith('cuda'):
            torch.cuda.synchronize(self.case.device)


def peak_memory(load: Callable[[], Preset], name: str, case: Case, threads: int) -> float:
    """Peak memory of two steps in a fresh process: model, gradients and activations.

    Args:
        load: Makes the preset; the process calls it anew, so a row may be of anything, but this
            must be importable.
        name: Of the row to run.
        case: On which input.
        threads: CPU threads.

    Returns:
        MiB that torch's allocator of the device has given out at a time.
    """
    # The profiler of the process reports its start and end, and that it sees no GPU.
    os.environ.setdefault('KINETO_LOG_LEVEL', '99')
    context = multiprocessing.get_context('spawn')
    with context.Pool(1) as pool:
        return pool.apply(_peak_memory, (load, name, case, threads))


def _peak_memory(load: Callable[[], Preset], name: str, case: Case, threads: int) -> float:
    torch.set_num_threads(threads)
    row = load().row(name)
    if case.device.startswith('cuda'):
        _run_twice(row, case)
        peak = torch.cuda.max_memory_allocated(case.device)
    else:
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            _run_twice(row, case)
        with tempfile.TemporaryDirectory() as folder:
            trace = Path(folder, 'trace.json')
            profiler.export_chrome_trace(str(trace))
            events = json.loads(trace.read_text())['traceEvents']
        events = [event['args'] for event in events if event.get('name') == '[memory]']
        peak = max(event['Total Allocated'] for event in events)
    return round(peak / 2**20, 1)


def _run_twice(row: Row, case: Case) -> None:
    step = Step(row, case)
    for _ in range(2):
        step.clear()
        step.run()
