"""Bad images, masks, labels and boxes are named, counted and limited, never replaced in silence."""

import json
from collections import Counter
from functools import wraps
from math import ceil
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_gather_object, all_reduce, get_rank, get_world_size, is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import BaseLoop, EpochBasedTrainLoop, Runner, TestLoop, ValLoop
from mmpretrain.registry import HOOKS

from mmtoken.checks import check_number
from mmtoken.errors import UserError
from mmtoken.runtime.bad_data.boxes import Annotations, watched_annotations
from mmtoken.runtime.bad_data.log import Record, SampleLog
from mmtoken.runtime.bad_data.samples import Expected, WatchedLoading, base_datasets
from mmtoken.runtime.guards.guard import Guard
from mmtoken.unwrap import unwrap

# Bad samples or annotations that are named in the log and in a sentence; a file lists all.
NAMED = 10
_IN_A_SENTENCE = 3
# What marks mmengine's loops once they are shown to the hook.
_SHOWN = '_shown_to_bad_data_hook'
# Iterations after which several processes compare notes.
_TOGETHER = 50


@HOOKS.register_module()
class BadDataHook(Guard):
    """Name, count and limit samples that cannot be loaded or are not what the model expects.

    In training, a sample is replaced by another one, as mmengine does: an image that is missing,
    empty, truncated, not decodable, or not as large or of the channels as expected; a label or map
    of labels out of range. The first ten are named in the log, all are listed in `bad_data` of the
    log's folder, and summarized after an epoch (or with each checkpoint, where iterations are
    counted). In validation and testing the first one is an error. Annotations in COCO's format that
    mmdet leaves out are named when they are read. What a pipeline leaves empty by chance, such as a
    crop without boxes, is counted apart. Label maps that are missing are an error before the first
    step. Our design.

    Args:
        limit: Share of a data set that may be bad in a pass through it (of annotations: of the
            file); more is an error.

    Raises:
        UserError: If `limit` is no share.
    """

    def __init__(self, limit: float = 0.01) -> None:
        check_number('limit', limit, example=0.01)
        if limit > 1:
            raise UserError(f'limit {limit} is a share of the data; use one up to 1, such as 0.01')
        self.limit = limit
        self._log: SampleLog | None = None
        self._samples = 0
        self._batch = 1
        self._bad: dict[tuple[str, str], Record] = {}
        self._named: set[tuple[str, str]] = set()
        self._since: Counter[str] = Counter()
        self._redrawn = 0
        _watch_new_loops()

    def watch(self, loop: BaseLoop) -> None:
        """Watch the data sets of a loop, before any worker has a copy of them.

        Args:
            loop: A loop of the runner that was just built.

        Raises:
            UserError: If a transform that checks its data set (`check_dataset`) refuses it.
        """
        runner, loader, key = loop.runner, loop.dataloader, _loader_key(loop)
        training = key == 'train_dataloader'
        log = SampleLog(Path(runner.log_dir) / 'bad_data', get_rank())
        expected = Expected.of(unwrap(runner.model))
        datasets = list(base_datasets(loader.dataset))
        if not datasets:
            runner.logger.warning(
                f'{key}: {type(loader.dataset).__name__} is no data set of mmengine, so that its '
                'bad samples are neither named nor counted; derive it from BaseDataset'
            )
        for number, dataset in enumerate(datasets):
            for transform in getattr(dataset.pipeline, 'transforms', ()):
                if hasattr(transform, 'check_dataset'):
                    transform.check_dataset(dataset)
            dataset.prepare_data = WatchedLoading(
                dataset, number, key, log, expected, strict=not training
            )
        if training:
            self._log = log
            self._samples = sum(map(len, datasets))
            sampler = getattr(loader, 'batch_sampler', None)
            self._batch = (loader.batch_size or getattr(sampler, 'batch_size', None) or 1) * (
                get_world_size()
            )

    def report_annotations(self, loop: BaseLoop, read: list[Annotations]) -> None:
        """Name the bad annotations of a loop's files, and stop where there are too many.

        Args:
            loop: The loop.
            read: What was read while it was built.

        Raises:
            UserError: If more of a file than the limit allows are bad.
        """
        runner, key = loop.runner, _loader_key(loop)
        for found in filter(lambda annotations: annotations.bad, read):
            listed = Path(runner.log_dir) / 'bad_data' / f'{key}_annotations.jsonl'
            if is_main_process():
                listed.parent.mkdir(parents=True, exist_ok=True)
                with open(listed, 'a') as file:
                    for where, fault in found.bad:
                        line = dict(file=found.file, where=where, kind=fault.kind, text=fault.text)
                        file.write(json.dumps(line) + '\n')
            lines = [f'{where} {fault.text}' for where, fault in found.bad]
            for line in lines[:NAMED]:
                runner.logger.warning(f'{key}: {found.file}: {line}')
            kinds = Counter(fault.kind for _, fault in found.bad)
            share = f'{len(lines)} of {found.count} annotations of {found.file} are bad'
            runner.logger.warning(f'{key}: {share}: {_kinds(kinds)}; all are listed in {listed}')
            if len(lines) > self.limit * found.count:
                raise UserError(self._over(key, share, lines, listed))

    def before_train_epoch(self, runner: Runner) -> None:
        """Begin a pass through the data."""
        self._bad.clear()

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """See what workers wrote down; sum it up where no epoch will end."""
        if get_world_size() == 1 or self.every_n_train_iters(runner, _TOGETHER):
            self._collect(runner)
        if isinstance(runner.train_loop, EpochBasedTrainLoop) or not self._samples:
            return
        if self.every_n_train_iters(runner, _checkpoint_interval(runner)):
            self._summarize(runner)
        if self.every_n_train_iters(runner, ceil(self._samples / self._batch)):
            self._collect(runner)
            self._bad.clear()

    def after_train_epoch(self, runner: Runner) -> None:
        """Sum an epoch up, or the rest of a run that counts iterations."""
        self._summarize(runner)

    def _collect(self, runner: Runner) -> None:
        """Take in what workers wrote down, of all processes alike."""
        if self._log is None:
            return
        new = self._log.read()
        if get_world_size() > 1:
            count = torch.tensor(len(new))
            all_reduce(count)
            new = sum(all_gather_object(new), []) if count > 0 else []
        for record in new:
            key = (record.loader, record.sample)
            self._since[record.kind] += 1
            self._bad[key] = record
            if key not in self._named and len(self._named) < NAMED:
                runner.logger.warning(f'{record.loader}: {record.path} {record.text}; replaced')
            self._named.add(key)
        if new and len(self._bad) > self.limit * self._samples:
            key, lines = new[0].loader, [f'{r.path} {r.text}' for r in self._bad.values()]
            share = f'{len(lines)} of {self._samples} samples are bad'
            raise UserError(self._over(key, share, lines, self._log.path))

    def _summarize(self, runner: Runner) -> None:
        """One line about what was replaced since the last one, where anything was."""
        self._collect(runner)
        if self._log is None:
            return
        total = torch.tensor(self._log.redrawn())
        all_reduce(total)
        redrawn, self._redrawn = int(total) - self._redrawn, int(total)
        if self._since:
            runner.logger.warning(
                f'train_dataloader: {self._since.total()} bad samples were replaced '
                f'({_kinds(self._since)}), {len(self._bad)} of {self._samples} in this pass '
                f'(limit {self.limit:.3g}); all are listed in {self._log.path}'
            )
        if redrawn:
            runner.logger.info(
                f'train_dataloader: of {redrawn} samples the pipeline left nothing, by chance or '
                'since they have no objects; others were drawn'
            )
        self._since.clear()

    def _over(self, key: str, share: str, lines: list[str], listed: Path) -> str:
        return (
            f'{key}: {share}, more than the limit of {self.limit:.3g} of them: '
            f'{"; ".join(lines[:_IN_A_SENTENCE])}{"; ..." if len(lines) > _IN_A_SENTENCE else ""} '
            f'(all are listed in {listed}); mend them or take them out of the annotations, or '
            "raise the BadDataHook's limit"
        )


def _loader_key(loop: BaseLoop) -> str:
    """The key of a loop's loader in the config."""
    name = type(loop).__name__
    if isinstance(loop, ValLoop) or 'Val' in name:
        return 'val_dataloader'
    return 'test_dataloader' if isinstance(loop, TestLoop) or 'Test' in name else 'train_dataloader'


def _checkpoint_interval(runner: Runner) -> int:
    """Iterations between checkpoints; -1 where there are none."""
    for hook in runner.hooks:
        if isinstance(hook, CheckpointHook) and not hook.by_epoch:
            return hook.interval
    return -1


def _kinds(kinds: Counter[str]) -> str:
    return ', '.join(f'{count} {kind}' for kind, count in kinds.most_common())


def _watch_new_loops() -> None:
    """Have mmengine show its loops to the hook when they are built.

    No place of a hook is as early: the iteration-based loop of mmengine 0.10.7 starts its workers,
    which get copies of the data sets, while it is built.
    """
    if _SHOWN in vars(BaseLoop):
        return
    original = BaseLoop.__init__

    @wraps(original)
    def __init__(loop: BaseLoop, runner: Runner, dataloader: Any) -> None:
        hooks = [hook for hook in getattr(runner, 'hooks', ()) if isinstance(hook, BadDataHook)]
        scope = runner.default_scope.scope_name if hooks else ''
        with watched_annotations(scope) as read:
            original(loop, runner, dataloader)
        for hook in hooks:
            hook.watch(loop)
            hook.report_annotations(loop, read)

    BaseLoop.__init__ = __init__
    setattr(BaseLoop, _SHOWN, True)
