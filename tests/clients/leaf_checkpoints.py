"""Leaf configs as their users hold them: a config file and a checkpoint, of random weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from long_leaves import marks_of
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, DefaultScope
from mmengine.runner import save_checkpoint
from small_models import shrink_model, shrink_pipeline
from torch import Tensor

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


@dataclass(frozen=True)
class Trained:
    """What a user has after training: two files. The weights tell whether a client loaded them."""

    config: Path
    checkpoint: Path
    weights: dict[str, Tensor]
    classes: tuple[str, ...]


def leaves_of(scope: str) -> list:
    """The leaf configs of one library, as parameters of a fixture."""
    paths = sorted(p for p in CONFIGS.glob('*/*.py') if p.parent.name != '_base_')
    return [
        pytest.param(path, id=path.stem, marks=marks_of(path))
        for path in paths
        if scope_of(path) == scope
    ]


def scope_of(path: Path) -> str:
    """The library of a leaf config."""
    return Config.fromfile(path, import_custom_modules=False).default_scope


def write_trained(leaf: Path, folder: Path) -> Trained:
    """Write a leaf config and a checkpoint of its model.

    Models of public data are made small; all else stands as in the leaf, with an ``init_cfg`` that
    names a file which is not there. What LoRA learns would need it, so that there it is left out.
    """
    config = Config.fromfile(leaf)
    if leaf.parent.name not in ('digits', 'glyphs'):
        init_cfg = config.model.backbone.get('init_cfg')
        shrink_model(config)
        if init_cfg:
            config.model.backbone.init_cfg = init_cfg
    if config.default_scope != 'mmpretrain':
        for pipeline in (config.test_pipeline, config.test_dataloader.dataset.pipeline):
            shrink_pipeline(pipeline)
    config.dump(folder / leaf.name)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(config.default_scope):
        model = MODELS.build(config.model)
    dataset = config.test_dataloader.dataset
    with DATASETS.switch_scope_and_registry(config.default_scope) as datasets:
        meta = dict(datasets.get(dataset.type).METAINFO, **dataset.get('metainfo', {}))
    if dataset.type == 'CustomDataset':
        # Its classes are the folders that it finds.
        meta['classes'] = tuple(f'n{label}' for label in range(config.model.head.num_classes))
    weights = model.state_dict()
    checkpoint = folder / f'{leaf.stem}.pth'
    save_checkpoint(dict(meta=dict(dataset_meta=meta), state_dict=weights), str(checkpoint))
    return Trained(folder / leaf.name, checkpoint, weights, tuple(meta.get('classes', ())))


def write_picture(path: Path) -> Path:
    """Write a picture of noise, 48 x 64 px."""
    rng = np.random.default_rng(0)
    cv2.imwrite(str(path), rng.integers(0, 256, (48, 64, 3), dtype=np.uint8))
    return path


def holds(model: torch.nn.Module, trained: Trained) -> bool:
    """Whether a model has the weights of the checkpoint."""
    state = model.state_dict()
    return all(torch.equal(state[name], value) for name, value in trained.weights.items())
