"""The configs of a search: the supernet's, those of the schedules that are retrained, the found
one's.
"""

from __future__ import annotations

import os
from copy import deepcopy
from pathlib import Path
from pprint import pformat
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import DATASETS

from mmtoken.errors import UserError
from mmtoken.experiments.probe_backbone import hushed
from mmtoken.experiments.study_file import fill_study
from mmtoken.experiments.study_runs import schedule
from mmtoken.runtime.cli import load_config, merge_options

from .budget import scheduled_backbone
from .space import Schedule, Space


def check_training_set(cfg: Config, folds: int) -> None:
    """Be sure that a config's training set can be divided.

    Args:
        cfg: The config.
        folds: Into how many parts.

    Raises:
        UserError: If the training set is wrapped, or too small.
    """
    dataset = cfg.train_dataloader.dataset
    if 'dataset' in dataset or 'datasets' in dataset:
        raise UserError(
            f'train_dataloader.dataset of {cfg.filename} is wrapped in {dataset.type}; a search '
            'divides a plain data set into what is trained on and what is held out'
        )
    with DATASETS.switch_scope_and_registry(cfg.default_scope) as registry, hushed():
        count = len(registry.build(deepcopy(dataset)))
    if count < folds:
        raise UserError(
            f'folds {folds} of {count} images leave none to compare schedules on; use fewer'
        )


def hold_out(cfg: Config, search: Config) -> dict[str, Any]:
    """What lets a config train on all folds of its training set but one, and test on that.

    Args:
        cfg: The config.
        search: The search, with the number of folds and the seed of their draw.

    Returns:
        Dotted keys and values.
    """
    dataset = cfg.train_dataloader.dataset.to_dict()
    return {
        f'{loader}.dataset': dict(
            _delete_=True,
            type='mmpretrain.KFoldDataset',
            dataset=dict(dataset, pipeline=cfg[loader].dataset.to_dict()['pipeline']),
            num_splits=search.folds,
            seed=search.seed,
            test_mode=loader == 'test_dataloader',
        )
        for loader in ('train_dataloader', 'test_dataloader')
    }


def supernet_config(search: Config, space: Space, folder: Path) -> Config:
    """The config of the supernet.

    Args:
        search: The search.
        space: Its space.
        folder: For its log.

    Returns:
        The config.
    """
    cfg = load_config(search.config)
    first = scheduled_backbone(cfg.model.backbone, [])
    first.pop('stages')
    backbone = dict(first, type='PSViTSupernet', space=space.describe())
    merge_options(cfg, schedule(search.supernet.iterations))
    merge_options(cfg, dict(search.supernet.options))
    merge_options(cfg, hold_out(cfg, search))
    cfg.model.backbone = ConfigDict(backbone)
    cfg.custom_hooks = [
        *cfg.get('custom_hooks', []), dict(type='mmpretrain.SamplePathHook', seed=search.seed)
    ]  # fmt: skip
    # A step has no gradient for what is off its path.
    cfg.model_wrapper_cfg = dict(
        type='MMDistributedDataParallel', find_unused_parameters=True, broadcast_buffers=False
    )
    cfg.merge_from_dict({'randomness.seed': search.seed, 'work_dir': str(folder)})
    return cfg


def retraining_study(
    search: Config, space: Space, schedules: dict[str, Schedule], path: Path
) -> Config:
    """A study of some schedules, trained from nothing and tested on held-out images.

    Args:
        search: The search.
        space: Its space.
        schedules: By the names of their arms.
        path: The search's file, for errors.

    Returns:
        The study, the baselines' arms included.

    Raises:
        UserError: If a baseline trains on other data.
    """
    cfg = _retrained(search.config, search)
    held_out = hold_out(cfg, search)
    arms = [
        dict(
            name=name,
            config=search.config,
            options={
                **held_out,
                'model.backbone': dict(
                    scheduled_backbone(cfg.model.backbone.to_dict(), space.stages(schedule)),
                    _delete_=True,
                ),
            },
        )
        for name, schedule in schedules.items()
    ]
    for baseline in search.baselines:
        own = _retrained(baseline.config, search)
        if _data_of(own) != _data_of(cfg):
            raise UserError(
                f'the baseline {baseline.name!r} of search {path} trains on other data than '
                f'{search.config}: {_data_of(own)} and {_data_of(cfg)}; give it the same'
            )
        arms.append(dict(baseline.to_dict(), options=hold_out(own, search)))
    content = dict(
        title=f'{search.title}: retraining',
        question=search.question,
        metrics=[dict(search.metric)],
        x=dict(name='schedules', values=[dict(value='retrained')]),
        arms=arms,
        control=arms[0]['name'],
        iterations=search.retraining.iterations,
        options=search.retraining.options.to_dict(),
    )
    return fill_study(Config(content), path)


def _retrained(config: str, search: Config) -> Config:
    """A config with the options of what is retrained."""
    cfg = load_config(config)
    merge_options(cfg, dict(search.retraining.options))
    return cfg


def _data_of(cfg: Config) -> dict[str, Any]:
    """The training set of a config, however its images are prepared."""
    dataset = cfg.train_dataloader.dataset.to_dict()
    return {name: value for name, value in dataset.items() if name != 'pipeline'}


def write_leaf(search: Config, space: Space, schedule: Schedule, path: Path, command: str) -> None:
    """Write a schedule as a leaf config that `tools/train.py` takes.

    Args:
        search: The search that found it.
        space: Its space.
        schedule: The schedule.
        path: The file.
        command: The search's command line, for the docstring.
    """
    cfg = load_config(search.config)
    backbone = scheduled_backbone(cfg.model.backbone.to_dict(), space.stages(schedule))
    base = os.path.relpath(search.config, path.parent)
    path.write_text(
        f'"""The schedule {schedule}, found by a search: F has an attention map of its own,\n'
        f'S shares that of the layer before, tokens are pooled at each bar.\n\n'
        f'Reproduces: the choice of\n    {command}\n'
        f'Command: python tools/train.py {path.as_posix()}\n"""\n\n'
        f'_base_ = {base!r}\n\n'
        f'model = dict(\n    backbone=dict(\n        _delete_=True,\n'
        + ''.join(f'        {name}={_indented(value)},\n' for name, value in backbone.items())
        + '    )\n)\n'
    )


def _indented(value: Any) -> str:
    return pformat(value, width=88, sort_dicts=False).replace('\n', '\n        ')
