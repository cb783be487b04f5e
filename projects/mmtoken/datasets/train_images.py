"""The images that a config trains on, each once, and those of them that cannot be read."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmpretrain.registry import DATASETS
from torch.utils.data import Dataset

from mmtoken.datasets.label_store import image_name
from mmtoken.errors import UserError
from mmtoken.runtime.bad_data.contents import Expected
from mmtoken.runtime.bad_data.samples import BadSample, WatchedPipeline

# Share of the images that may be unreadable before a call ends at once; as in training.
MOST_UNREADABLE = 0.01
NAMED = 3


class TrainImages(Dataset):
    """The images that a config trains on, each once, without augmentation.

    Args:
        cfg: The config of a classifier.
        side: Height and width that images are resized to, whole; None leaves them unread.

    Raises:
        UserError: If it trains on several data sets, or on images that are no files, or not in the
            folder of the others.
    """

    def __init__(self, cfg: Config, side: int | None = None) -> None:
        settings = deepcopy(cfg.train_dataloader.dataset)
        while 'dataset' in settings:
            settings = settings.dataset
        if 'datasets' in settings:
            raise UserError(
                f'the config trains on several data sets ({settings.type}), and label maps are of '
                'one folder of images; make them with the config of each'
            )
        steps = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(side, side))]
        settings.pipeline = [*steps, dict(type='PackInputs')] if side else []
        self.dataset = DATASETS.build(settings)
        paths = [self.dataset.get_data_info(i).get('img_path') for i in range(len(self.dataset))]
        if None in paths:
            raise UserError(
                f'{settings.type} has its images in no files of their own, by which label maps are '
                'found; use a data set of image files, such as CustomDataset'
            )
        self.dataset.pipeline = WatchedPipeline(self.dataset.pipeline.transforms, Expected())
        self.folder = Path(self.dataset.img_prefix)
        names = [image_name(path, self.folder) for path in paths]
        if None in names:
            raise UserError(
                f'{paths[names.index(None)]} is not in {self.folder}, the folder of the images, '
                'from which label maps are named; set data_prefix of the data set to a folder that '
                'has all of them'
            )
        named = sorted((name, i) for i, name in enumerate(names))
        self.names = [name for name, _ in named]
        self.order = [index for _, index in named]

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[int, Any]:
        try:
            return index, self.dataset.prepare_data(self.order[index])
        except BadSample as bad:
            return index, bad


class UnreadableImages:
    """Images that are left out, since they cannot be read.

    Args:
        count: Images in all.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.found: list[str] = []

    def taken_out(self, batch: list[tuple]) -> list[tuple]:
        """What is left of a batch of numbers and samples.

        Raises:
            UserError: If there are too many to go on.
        """
        bad = [item[1] for item in batch if isinstance(item[1], BadSample)]
        self.found += [f'{sample.path} {sample.fault.text}' for sample in bad]
        if len(self.found) > MOST_UNREADABLE * self.count:
            self.report()
        return [item for item in batch if not isinstance(item[1], BadSample)]

    def report(self) -> None:
        """Name them.

        Raises:
            UserError: If there are any.
        """
        if not self.found:
            return
        named = '; '.join(self.found[:NAMED]) + ('; ...' if len(self.found) > NAMED else '')
        raise UserError(
            f'{len(self.found)} of {self.count} images could not be read and have no label map: '
            f'{named}; mend them, and the same command goes on with them, or take them out of the '
            'data set and add --overwrite'
        )
