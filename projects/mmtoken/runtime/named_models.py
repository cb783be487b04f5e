"""Our models by their names: classifiers, detectors and segmentors, each the name of its config."""

from collections.abc import Sequence
from copy import deepcopy
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
import yaml
from mmengine.config import Config
from torch import nn

from mmtoken.config_check.check import check_config
from mmtoken.errors import UserError, near_miss
from mmtoken.runtime.cli import load_config
from mmtoken.runtime.load_model import build_model, load_weights
from mmtoken.runtime.own_configs import leaf_configs
from mmtoken.weights import is_pretrained


def list_models(
    pattern: str | None = None,
    exclude_patterns: Sequence[str] = (),
    task: str | None = None,
) -> list[str]:
    """The names that `get_model` takes, as mmpretrain's function of this name finds them.

    Args:
        pattern: What a name begins with, `*` and `?` in it standing for anything: 'life' and
            'life*' find the classifiers with LIFE, '*life*' its detectors and segmentors, too.
        exclude_patterns: The same of names to leave out.
        task: What the index of models calls it: 'Image Classification', 'Object Detection',
            'Instance Segmentation' or 'Semantic Segmentation'.

    Returns:
        The names, sorted.

    Raises:
        UserError: If no model has the task, or the package has no configs beside it.
    """
    configs = leaf_configs()
    names = [
        name
        for name in configs
        if fnmatchcase(name, f'{pattern or ""}*')
        and not any(fnmatchcase(name, f'{excluded}*') for excluded in exclude_patterns)
    ]
    if task is None:
        return sorted(names)
    tasks = _tasks({file.parent for file in configs.values()})
    known = sorted(set().union(*tasks.values()))
    if task not in known:
        raise UserError(f'task {task!r} is unknown; use one of {known}{near_miss(task, known)}')
    return sorted(name for name in names if task in tasks.get(name, ()))


def get_model(
    model: str | Path | Config,
    checkpoint: str | Path | None = None,
    device: str | torch.device | None = None,
    pretrained: bool = False,
    **changes: Any,
) -> nn.Module:
    """Build a classifier, detector or segmentor, as mmpretrain's function of this name does.

    The config is checked as the tools check it. Its library's default scope is set, so that what is
    built works with the clients of its library: `mmdet.apis.inference_detector(model, image)`,
    `mmseg.apis.inference_model(model, image)`, mmpretrain's inferencers.

    Args:
        model: A name of `list_models()`, the path of a config, or a config.
        checkpoint: Weights of the whole model, which are loaded strictly, and of which nothing is
            executed. Without them, and without `pretrained`, weights are random.
        device: Where to; the CPU by default.
        pretrained: Whether to start as training does: with the weights that the config's
            `load_from`, or its backbone's `init_cfg`, names.
        **changes: Changes of the config's `model`, such as `backbone=dict(out_type='featmap')`.

    Returns:
        The model, in evaluation mode. Its config is at `cfg`, the names of its classes in
        `dataset_meta`.

    Raises:
        UserError: If there is no such model, its config is refused, or weights are not there or do
            not fit.
    """
    cfg = _config_of(model)
    if changes:
        cfg.merge_from_dict({'model': changes})
    check_config(cfg, needs=('model', 'default_scope'))
    built = build_model(cfg)
    if checkpoint is not None:
        load_weights(built, str(checkpoint))
    elif pretrained:
        _load_start(built, cfg)
    # Where the libraries' own clients look.
    built.cfg = built._config = cfg
    built._metainfo, built._dataset_meta = None, built.dataset_meta
    try:
        return built.to(device or 'cpu').eval()
    except (RuntimeError, AssertionError) as error:
        raise UserError(f'device {str(device)!r} is not here; use cpu ({error})') from error


def _config_of(model: str | Path | Config) -> Config:
    """The config of a name or a path, or a copy of one.

    Raises:
        UserError: If there is none.
    """
    if isinstance(model, Config):
        return deepcopy(model)
    if not isinstance(model, (str, Path)):
        raise UserError(
            f'model {model!r} is neither text nor a config; give a name of mmtoken.list_models(), '
            'the path of a config, or a Config'
        )
    known = leaf_configs() if isinstance(model, str) else {}
    if model in known:
        return load_config(str(known[model]))
    if Path(model).suffix or Path(model).name != str(model):
        return load_config(str(model))
    raise UserError(
        f'model {model!r} is none of the {len(known)} of mmtoken'
        f'{near_miss(model, known) or "; see mmtoken.list_models()"}'
    )


def _load_start(model: nn.Module, cfg: Config) -> None:
    """Load what training starts from.

    Raises:
        UserError: If that is nothing.
    """
    backbone = cfg.model.get('backbone', {})
    # LoRA holds the backbone that has them.
    start = backbone.get('module', backbone).get('init_cfg')
    if cfg.get('load_from'):
        load_weights(model, cfg.load_from)
    elif any(map(is_pretrained, start if isinstance(start, list) else [start])):
        model.backbone.init_weights()
    else:
        raise UserError(
            f'config {cfg.filename} names no weights that training starts from, so pretrained=True '
            'has nothing to load; leave it out, or give a checkpoint'
        )


def _tasks(folders: set[Path]) -> dict[str, set[str]]:
    """The tasks of every model, by its name, as the indices of folders say them."""
    found: dict[str, set[str]] = {}
    for folder in folders:
        index = yaml.safe_load((folder / 'metafile.yml').read_text(encoding='utf-8'))
        for model in index['Models']:
            found[model['Name']] = {result['Task'] for result in model['Results']}
    return found
