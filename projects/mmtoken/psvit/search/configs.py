"""The configs of a search: the supernet's, those of the schedules that are retrained, the found
one's.
"""

from __future__ import annotations

import os
from copy import deepcopy
from pathlib import Path
from pprint import pformat
from typing import Any

import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.registry import DATASETS

from mmtoken.errors import UserError
from mmtoken.experiments.probe_backbone import hushed
from mmtoken.experiments.study_file import fill_study
from mmtoken.experiments.study_runs import schedule
from mmtoken.runtime.cli import load_config, merge_options

from .budget import scheduled_backbone
from .space import Schedule, Space


def split_training_set(cfg: Config, share: float, seed: int) -> tuple[list[int], list[int]]:
    """What is trained on and what is held out, of a config's training set.

    Args:
        cfg: The config.
        share: Held out.
        seed: Of the draw.

    Returns:
        Indices of both, ascending.

    Raises:
        UserError: If the training set is a part already, or too small.
    """
    dataset = cfg.train_dataloader.dataset
    if dataset.get('indices') is not None or 'dataset' in dataset:
        raise UserError(
            f'train_dataloader.dataset of {cfg.filename} is '
            f'{"wrapped in " + dataset.type if "dataset" in dataset else "cut by indices"}; '
            'a search divides a whole data set into what is trained on and what is held out'
        )
    with DATASETS.switch_scope_and_registry(cfg.default_scope) as registry, hushed():
        count = len(registry.build(deepcopy(dataset)))
    order = np.random.default_rng(seed).permutation(count)
    held = round(share * count)
    if not 0 < held < count:
        raise UserError(
            f'held_out {share} of {count} images leaves {held} to compare schedules on and '
            f'{count - held} to train on; choose another share'
        )
    return sorted(order[held:].tolist()), sorted(order[:held].tolist())


def held_out_options(cfg: Config, held_out: list[int]) -> dict[str, Any]:
    """What lets a config test on held-out images of its training set.

    Args:
        cfg: The config.
        held_out: Their indices.

    Returns:
        Dotted keys and values.
    """
    dataset = dict(cfg.train_dataloader.dataset.to_dict(), indices=held_out)
    # As images are prepared for a test.
    dataset['pipeline'] = cfg.test_dataloader.dataset.to_dict()['pipeline']
    return {'test_dataloader.dataset': dict(dataset, _delete_=True)}


def supernet_config(
    search: Config, space: Space, trained: list[int], held_out: list[int], folder: Path
) -> Config:
    """The config of the supernet.

    Args:
        search: The search.
        space: Its space.
        trained: Indices of the images that it trains on.
        held_out: Indices of those that it is tested on.
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
    merge_options(cfg, held_out_options(cfg, held_out))
    cfg.model.backbone = ConfigDict(backbone)
    cfg.train_dataloader.dataset.indices = trained
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
    search: Config,
    space: Space,
    schedules: dict[str, Schedule],
    trained: list[int],
    held_out: list[int],
    path: Path,
) -> Config:
    """A study of some schedules, trained from nothing and tested on held-out images.

    Args:
        search: The search.
        space: Its space.
        schedules: By the names of their arms.
        trained: Indices of the images that they train on.
        held_out: Indices of those that they are tested on.
        path: The search's file, for errors.

    Returns:
        The study, the baselines' arms included.
    """
    cfg = load_config(search.config)
    arms = [
        dict(
            name=name,
            config=search.config,
            options={
                'model.backbone': dict(
                    scheduled_backbone(cfg.model.backbone.to_dict(), space.stages(schedule)),
                    _delete_=True,
                )
            },
        )
        for name, schedule in schedules.items()
    ]
    arms += [baseline.to_dict() for baseline in search.baselines]
    content = dict(
        title=f'{search.title}: retraining',
        question=search.question,
        metrics=[dict(search.metric)],
        x=dict(name='schedules', values=[dict(value='retrained')]),
        arms=arms,
        control=arms[0]['name'],
        iterations=search.retraining.iterations,
        options={
            **held_out_options(cfg, held_out),
            'train_dataloader.dataset.indices': trained,
            **search.retraining.options,
        },
    )
    return fill_study(Config(content), path)


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
        f'Reproduces: the choice of `{command}`.\n'
        f'Command: python tools/train.py {path.as_posix()}\n"""\n\n'
        f'_base_ = {base!r}\n\n'
        f'model = dict(\n    backbone=dict(\n        _delete_=True,\n'
        + ''.join(f'        {name}={_indented(value)},\n' for name, value in backbone.items())
        + '    )\n)\n'
    )


def _indented(value: Any) -> str:
    return pformat(value, width=88, sort_dicts=False).replace('\n', '\n        ')
