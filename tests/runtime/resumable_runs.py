"""Tiny runs in this process that draw from every generator, to be interrupted and resumed."""

from __future__ import annotations

import random
from pathlib import Path
from uuid import uuid4

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import mmtoken.runtime.resuming.resume_hook  # noqa: F401

# Batches of an epoch, with batches of 2.
BATCHES = 4
HOOK = dict(type='mmpretrain.ExactResumeHook')


class Noisy(Dataset):
    """Samples that are other ones each time, by all three generators."""

    # Which hooks put another one in the place of.
    pipeline = None

    def __init__(self, length: int = 2 * BATCHES) -> None:
        self.length = length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict:
        noise = random.gauss(0, 1) + np.random.randn() + torch.randn(4)
        inputs = index + noise if self.pipeline is None else index - 0.1 * noise
        return dict(inputs=inputs, target=torch.tensor(float(index)))

    def get_data_info(self, index: int) -> dict:
        """As detection's data sets say it: every third image is upright."""
        return dict(width=2, height=3 if index % 3 == 0 else 1)


class Model(BaseModel):
    """Dropout, batch norm, and a layer for each."""

    def __init__(self, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.layers = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 1)
        )

    def forward(self, inputs: Tensor, target: Tensor, mode: str = 'tensor'):
        found = self.layers(inputs).squeeze(1)
        if mode == 'loss':
            return dict(loss=(found - target).square().mean())
        return [dict(error=error) for error in (found - target).abs().tolist()]


class Error(BaseMetric):
    """The mean error."""

    def process(self, data_batch, data_samples) -> None:
        self.results += [sample['error'] for sample in data_samples]

    def compute_metrics(self, results: list) -> dict:
        return dict(loss=float(np.mean(results)))


def make_runner(
    work_dir: Path,
    epochs: bool = True,
    workers: int = 0,
    persistent: bool = False,
    *,
    length: int = 2,
    seed: int | None = 3,
    hook: dict | None = HOOK,
    resume: Path | None = None,
    sampler: str | None = None,
    hooks: tuple = (),
    checkpoint: dict | None = None,
    init_cfg: dict | None = None,
    loader: dict | DataLoader | None = None,
    validation: dict | None = None,
    accumulate: int = 1,
    optimizer: dict | None = None,
    train_cfg: dict | None = None,
    param_scheduler: list | None = None,
    kind: type = Runner,
    **more,
) -> Runner:
    """A runner that writes a checkpoint after each iteration.

    Args:
        epochs: Whether the loop counts epochs.
        length: Epochs, or as many batches.
        hook: The hook of resuming; None leaves it out.
        resume: The checkpoint to go on from.
        sampler: Its type.
        hooks: Custom ones.
        checkpoint: Arguments of the checkpoint hook.
        loader: More of the training loader's config, or one that is built.
        validation: More of the validation loader's config.
        optimizer: Another one than AdamW.
        train_cfg: More of the loop's.
        kind: The runner's class.
        more: Of the runner.
    """
    name = sampler or ('DefaultSampler' if epochs else 'InfiniteSampler')
    data = dict(
        dataset=Noisy(),
        sampler=dict(type=name, shuffle=True),
        batch_size=2,
        num_workers=workers,
        persistent_workers=persistent,
        collate_fn=dict(type='default_collate'),
    )
    end = dict(max_epochs=length) if epochs else dict(max_iters=length * BATCHES)
    loop = 'EpochBasedTrainLoop' if epochs else 'IterBasedTrainLoop'
    optimizer = optimizer or dict(type='AdamW', lr=0.05)
    measured = dict(
        dataset=Noisy(4),
        sampler=dict(type='DefaultSampler', shuffle=False),
        num_workers=0,
        persistent_workers=False,
    )
    default = dict(
        logger=dict(type='LoggerHook', interval=1000),
        checkpoint={
            'type': 'CheckpointHook',
            'interval': 1,
            'by_epoch': False,
            **(checkpoint or {}),
        },
    )
    if hook is not None:
        default['resume'] = hook
    return kind(
        dict(type=Model, init_cfg=init_cfg),
        work_dir=str(work_dir),
        train_dataloader=(loader if isinstance(loader, DataLoader) else {**data, **(loader or {})}),
        train_cfg={'type': loop, **end, 'val_interval': 1000, **(train_cfg or {})},
        optim_wrapper=dict(optimizer=optimizer, accumulative_counts=accumulate),
        param_scheduler=param_scheduler or [dict(type='CosineAnnealingLR', by_epoch=False, end=20)],
        val_dataloader={**data, **measured, **(validation or {})},
        val_cfg=dict(),
        val_evaluator=dict(type=Error),
        default_hooks=default,
        custom_hooks=list(hooks),
        randomness=dict(seed=seed),
        default_scope='mmengine',
        experiment_name=uuid4().hex,
        resume=resume is not None,
        load_from=None if resume is None else str(resume),
        **more,
    )


def train(runner: Runner) -> dict[str, Tensor]:
    """Let a run end, and its workers, lest those of a later run are forked with what holds them.

    Returns:
        The weights.
    """
    try:
        runner.train()
    finally:
        loop = runner.train_loop
        endless = getattr(loop, 'dataloader_iterator', None)
        validation = runner.val_loop and runner.val_loop.dataloader
        for holder in (loop.dataloader, getattr(endless, 'mmengines', endless), validation):
            if holder is not None:
                holder._iterator = None
    return {name: tensor.clone() for name, tensor in runner.model.state_dict().items()}


def trained(work_dir: Path, *args, **options) -> dict[str, Tensor]:
    """The weights that a run ends with."""
    return train(make_runner(work_dir, *args, **options))


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Whether weights are the same, bit for bit."""
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


def logged(work_dir: Path) -> str:
    """What the last run in a folder has logged."""
    return max(work_dir.glob('*/*.log')).read_text()
