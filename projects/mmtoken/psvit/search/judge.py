"""How good the schedules of a supernet are on held-out images, in one process or several."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.evaluator import Evaluator
from mmengine.registry import DefaultScope
from mmengine.runner import Runner

from mmtoken.errors import UserError
from mmtoken.experiments.probe_backbone import hushed
from mmtoken.runtime.load_model import build_model, load_model
from mmtoken.tasks.launch import cpu_count

from .space import Schedule


class Judge:
    """A trained supernet, and the images on which its paths are compared.

    Args:
        cfg: Of the supernet; its test data are the images.
        checkpoint: Its weights; None for random ones.
        key: The metric.
    """

    def __init__(self, cfg: Config, checkpoint: str | None, key: str) -> None:
        self.key, self.scope = key, cfg.default_scope
        # What is only tried shall hold no GPU while supernet and workers want it.
        on_gpu = checkpoint is not None and torch.cuda.is_available()
        device = 'cuda' if on_gpu else 'cpu'
        with DefaultScope.overwrite_default_scope(self.scope), hushed():
            self.model = build_model(cfg) if checkpoint is None else load_model(cfg, checkpoint)
            self.model.to(device).eval()
            loader = dict(cfg.test_dataloader, num_workers=0, persistent_workers=False)
            self.loader = Runner.build_dataloader(loader, seed=0)
            self.evaluator = Evaluator(cfg.test_evaluator)

    @torch.inference_mode()
    def measure(self, path: str) -> float:
        """The metric of a path, given as text.

        Raises:
            UserError: If it is not measured.
        """
        self.model.backbone.take(path)
        with DefaultScope.overwrite_default_scope(self.scope), hushed():
            for data in self.loader:
                self.evaluator.process(self.model.test_step(data), data)
            found = self.evaluator.evaluate(len(self.loader.dataset))
        if self.key not in found:
            raise UserError(
                f'metric.key {self.key!r} is none of what the config measures, '
                f'{", ".join(map(repr, found))}; use one of these'
            )
        return float(found[self.key])


def judge_all(
    config: Path, checkpoint: Path, key: str, schedules: Sequence[Schedule], workers: int
) -> Iterator[tuple[Schedule, float]]:
    """Measure some schedules.

    Args:
        config: Of the supernet, a file.
        checkpoint: Its weights.
        key: The metric.
        schedules: Those to measure.
        workers: Processes; they share the CPU cores.

    Yields:
        Each schedule and its measure, as they are finished.
    """
    workers = min(workers, len(schedules))
    threads = max(1, cpu_count() // max(workers, 1))
    # Spawned, since a fork of a process whose threads have run may hang.
    with ProcessPoolExecutor(
        workers, get_context('spawn'), _start, (str(config), str(checkpoint), key, threads)
    ) as pool:
        running = {pool.submit(_measure, str(schedule)): schedule for schedule in schedules}
        try:
            for done in as_completed(running):
                yield running[done], done.result()
        finally:
            pool.shutdown(cancel_futures=True)


_measure_in_process: Callable[[str], float] | None = None


def _start(config: str, checkpoint: str, key: str, threads: int) -> None:
    global _measure_in_process
    end_with_parent()
    torch.set_num_threads(threads)
    with hushed():
        cfg: Any = Config.fromfile(config)
    _measure_in_process = Judge(cfg, checkpoint, key).measure


def end_with_parent() -> None:
    """End this process when the one that started it is gone: else it would wait for ever for what a
    search that was killed does not ask any more.
    """

    def wait() -> None:
        parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _measure(path: str) -> float:
    return _measure_in_process(path)
