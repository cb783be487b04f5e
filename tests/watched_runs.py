"""Runs over images of a folder, with a model so small that loading them is all they do."""

from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import torch
from malformed_images import encoded, picture
from mmengine.dataset import BaseDataset
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.structures import BaseDataElement
from torch import nn

RUNS = count()
PIPELINE = [
    dict(type='mmcv.LoadImageFromFile'),
    dict(type='mmcv.Resize', scale=(8, 8)),
    dict(type='mmpretrain.RandomFlip', prob=0.5),
    dict(type='mmpretrain.PackInputs'),
]


class Listed(BaseDataset):
    """Samples that a test lists."""

    def __init__(self, samples: Sequence[dict], **options: Any) -> None:
        self.samples = samples
        # To serialize them, mmengine collects all garbage, which takes longer than a test.
        options.setdefault('serialize_data', False)
        super().__init__(**options)

    def load_data_list(self) -> list[dict]:
        return [dict(sample) for sample in self.samples]


class Mean(BaseModel):
    """A layer on the mean color of an image."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__(
            dict(type='ImgDataPreprocessor', mean=[128.0] * 3, std=[64.0] * 3, pad_size_divisor=1)
        )
        self.head = nn.Linear(3, classes)
        self.head.num_classes = classes
        nn.init.constant_(self.head.weight, 0.1)
        nn.init.zeros_(self.head.bias)

    def forward(self, inputs: torch.Tensor, data_samples: Any = None, mode: str = 'loss') -> Any:
        scores = self.head(inputs.mean((2, 3)))
        if mode == 'predict':
            return [BaseDataElement() for _ in scores]
        return dict(loss=scores.square().mean())


def write_images(folder: Path, files: dict[str, bytes]) -> list[dict]:
    """Write image files; the samples of a data set of them."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return [dict(img_path=str(folder / name), gt_label=0) for name in files]


def good_images(number: int) -> dict[str, bytes]:
    """Files that nothing is wrong with."""
    return {f'good_{n:03}.png': encoded(picture((20 + n, 24)), 'PNG') for n in range(number)}


def loader(dataset: BaseDataset, workers: int = 0, **options: Any) -> dict:
    """The config of a data loader."""
    settings = dict(batch_size=2, num_workers=workers)
    sampler = dict(type='DefaultSampler', shuffle=False)
    return settings | dict(dataset=dataset, sampler=sampler) | options


def watched_run(
    folder: Path, train: dict, hooks: Sequence[Hook], model: nn.Module | None = None, **options: Any
) -> tuple[Runner, list[str]]:
    """A run of one epoch, and the warnings that it will log."""
    model = model or Mean()
    options.setdefault('train_cfg', dict(by_epoch=True, max_epochs=1))
    runner = Runner(
        model,
        str(folder),
        train_dataloader=train,
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        custom_hooks=list(hooks),
        experiment_name=f'watched{next(RUNS)}',
        **options,
    )
    warnings: list[str] = []
    runner.logger.warning = warnings.append
    return runner, warnings
