"""Fill a store of label maps for the images that a config trains on."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from PIL import Image
from torch.utils.data import DataLoader, Dataset, Subset

from mmtoken.datasets.annotator import position_scores, top_scores
from mmtoken.datasets.label_store import Manifest
from mmtoken.datasets.label_store_writer import LabelStoreWriter
from mmtoken.datasets.mask_shares import CocoMasks, MaskFolder, cell_shares
from mmtoken.datasets.train_images import TrainImages, UnreadableImages
from mmtoken.errors import UserError
from mmtoken.runtime.bad_data.samples import BadSample, fault_of_error
from mmtoken.runtime.load_model import load_model
from mmtoken.tasks.task import file_digest, text_digest

# EXIF's, and its values that exchange width and height.
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)
Batches = Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Job:
    """How a store is made, whatever its maps come from.

    Args:
        out: The store's folder.
        top_k: k, how many classes are kept for a cell.
        command: What makes the store, for its manifest.
        workers: Processes that read.
        progress: Told how many images are done, and of how many.
        overwrite: Whether maps that are there are removed first, once all else is seen to fit.
    """

    out: Path
    top_k: int
    command: str
    workers: int
    progress: Callable[[int, int], None]
    overwrite: bool = False


def fill_from_model(
    cfg: Config,
    checkpoint: str,
    side: int,
    batch_size: int,
    device: str,
    job: Job,
) -> Manifest:
    """Annotate with a classifier, from where an earlier call stopped.

    Args:
        cfg: The classifier's config, of whose training set the images are.
        checkpoint: Its weights.
        side: Height and width of the images that it sees.
        batch_size: Images at once.
        device: Where it runs.
        job: How the store is made.

    Returns:
        What the store is of.

    Raises:
        UserError: If the config, the weights and the store do not fit together, or images cannot
            be read: of up to 1 in 100, once all others are annotated.
    """
    model, images = load_model(cfg, checkpoint, device), TrainImages(cfg, side)
    classes = model.head.num_classes
    with torch.inference_mode():
        grid = position_scores(model, torch.zeros(1, 3, side, side, device=device)).shape[2:]
    manifest = Manifest(
        kind='logit',
        classes=classes,
        grid=tuple(grid),
        top_k=min(job.top_k, classes),
        source=dict(
            config=os.path.relpath(cfg.filename),
            weights=file_digest(Path(checkpoint)) or checkpoint,
            img_size=side,
        ),
        images=text_digest('\n'.join(images.names)),
        count=len(images),
        command=job.command,
    )

    def batches(left: np.ndarray, unreadable: UnreadableImages) -> Batches:
        loader = DataLoader(
            Subset(images, left),
            batch_size,
            num_workers=job.workers,
            collate_fn=list,
        )
        for batch in filter(None, map(unreadable.taken_out, loader)):
            indices, samples = zip(*batch, strict=True)
            data = model.data_preprocessor(pseudo_collate(list(samples)))
            with torch.inference_mode():
                values, ids = top_scores(model, data['inputs'], manifest.top_k)
            yield np.array(indices), values.cpu().numpy(), ids.cpu().numpy()

    _fill(job, manifest, images, batches)
    return manifest


def fill_from_masks(
    cfg: Config,
    masks: Path,
    num_classes: int,
    background: int,
    grid: tuple[int, int],
    job: Job,
) -> Manifest:
    """Take the shares of classes from masks, from where an earlier call stopped.

    Args:
        cfg: A classifier's config, of whose training set the images are.
        masks: A folder of PNGs (`MaskFolder`), or a COCO annotation file (`CocoMasks`).
        num_classes: K, without the background.
        background: Its value in PNGs.
        grid: Cells of a map, (Hs, Ws).
        job: How the store is made.

    Returns:
        What the store is of; its classes are K + 1, the background last.

    Raises:
        UserError: If a mask is missing or unreadable, or does not fit the config, or images cannot
            be read: of up to 1 in 100, once all others have their maps.
    """
    if masks.suffix == '.json':
        reader = CocoMasks(masks, num_classes)
    else:
        reader = MaskFolder(masks, num_classes, background)
    images = TrainImages(cfg)
    reader.check(images.names)
    manifest = Manifest(
        kind='share',
        classes=num_classes + 1,
        grid=grid,
        top_k=min(job.top_k, num_classes + 1),
        source=dict(masks=os.path.relpath(masks), background=background),
        images=text_digest('\n'.join(images.names)),
        count=len(images),
        command=job.command,
    )

    def batches(left: np.ndarray, unreadable: UnreadableImages) -> Batches:
        shares = _Shares(reader, images, left, grid, manifest.top_k)
        loader = DataLoader(shares, 64, num_workers=job.workers, collate_fn=list)
        for batch in filter(None, map(unreadable.taken_out, loader)):
            yield tuple(np.stack(part) for part in zip(*batch, strict=True))

    _fill(job, manifest, images, batches)
    return manifest


class _Shares(Dataset):
    """The shares of the images that are left."""

    def __init__(
        self,
        reader: MaskFolder | CocoMasks,
        images: TrainImages,
        left: np.ndarray,
        grid: tuple[int, int],
        top_k: int,
    ) -> None:
        self.reader, self.images, self.left = reader, images, left
        self.grid, self.top_k = grid, top_k

    def __len__(self) -> int:
        return len(self.left)

    def __getitem__(self, place: int) -> tuple:
        index = self.left[place]
        name = self.images.names[index]
        classes, file = self.reader.read(name), self.images.folder / name
        try:
            with Image.open(file) as image:
                # Cameras note how to turn an image, and loaders turn it.
                turned = image.getexif().get(ORIENTATION, 1) in TURNED
                width, height = image.size[::-1] if turned else image.size
        except OSError as error:
            return index, BadSample(str(file), fault_of_error(error))
        if classes.shape != (height, width):
            raise UserError(
                f'the mask of {file} has {classes.shape[1]}x{classes.shape[0]} pixels and the '
                f'image {width}x{height}, as it is loaded; give --from-masks masks of that size'
            )
        return index, *cell_shares(classes, self.grid, self.top_k)


def _fill(
    job: Job,
    manifest: Manifest,
    images: TrainImages,
    batches: Callable[[np.ndarray, UnreadableImages], Batches],
) -> None:
    if not len(images):
        raise UserError(f'{images.folder} has no training images; name the data set in the config')
    writer = LabelStoreWriter(job.out, manifest, images.names, job.overwrite)
    left = writer.left()
    done = len(images) - len(left)
    job.progress(done, len(images))
    unreadable = UnreadableImages(len(images))
    for indices, values, ids in batches(left, unreadable):
        writer.write(indices, values, ids)
        done += len(indices)
        job.progress(done, len(images))
    unreadable.report()
