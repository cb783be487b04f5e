"""Label maps from masks: the share of each class in each cell of an image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from pycocotools.coco import COCO

from mmtoken.errors import UserError


class MaskFolder:
    """Semantic masks, one PNG an image, of its name and in the same folders.

    Args:
        folder: The masks'.
        num_classes: K, without the background.
        background: The value of the background; the other values from 0 up, it left out, are the
            classes, and the largest that a file can hold, such as 255, is no class.
    """

    def __init__(self, folder: str | Path, num_classes: int, background: int = 0) -> None:
        self.folder = Path(folder)
        self.num_classes = num_classes
        self.background = background

    def check(self, names: Sequence[str]) -> None:
        """Refuse images without a mask.

        Args:
            names: As of `read`.

        Raises:
            UserError: If one has none.
        """
        _refuse_missing(
            [name for name in names if not self._file(name).is_file()], names, self.folder
        )

    def _file(self, name: str) -> Path:
        return (self.folder / name).with_suffix('.png')

    def read(self, name: str) -> np.ndarray:
        """The classes of an image's pixels, (height, width); K is the background.

        Args:
            name: The image's path from its folder.

        Raises:
            UserError: If there is no mask, none that can be read, or one of more classes.
        """
        file = self._file(name)
        try:
            mask = np.asarray(Image.open(file))
        except OSError as error:
            raise UserError(
                f'mask {file} of the image {name!r} cannot be read ({error}); give --from-masks a '
                'folder with a PNG for every image'
            ) from error
        if mask.ndim != 2:
            raise UserError(
                f'mask {file} has shape {mask.shape}; expected one number a pixel: save it as a '
                'gray or palette PNG'
            )
        classes = mask.astype(np.int64) - (mask > self.background)
        none = mask == (np.iinfo(mask.dtype).max if mask.dtype.kind in 'iu' else 1)
        outside = (mask == self.background) | (classes >= self.num_classes)
        beyond = mask[outside & ~none & (mask != self.background)]
        if beyond.size:
            raise UserError(
                f'mask {file} has the value {beyond[0]}, beyond {self.num_classes} classes and the '
                f'background, {self.background}; give the --num-classes and --background of the '
                'masks'
            )
        return np.where(outside, self.num_classes, classes)


class CocoMasks:
    """Instance masks of a COCO annotation file, or boxes where it has no masks; later ones lie over
    earlier ones.

    Args:
        file: The annotations.
        num_classes: K, without the background: the categories in the order of their ids.

    Raises:
        UserError: If the file is not in COCO's format, or has another number of categories.
    """

    def __init__(self, file: str | Path, num_classes: int) -> None:
        self.file = Path(file)
        try:
            self.coco = COCO(str(file))
            ids = sorted(self.coco.getCatIds())
        except (ValueError, KeyError, TypeError, AssertionError) as error:
            raise UserError(
                f"{file} is not in COCO's format ({type(error).__name__}: {error}); give "
                '--from-masks a file of images, annotations and categories'
            ) from error
        if len(ids) != num_classes:
            raise UserError(
                f'{file} has {len(ids)} categories and the config {num_classes} classes; give the '
                'annotations of the same classes'
            )
        self.num_classes = num_classes
        self.labels = {category: label for label, category in enumerate(ids)}
        self.images = {image['file_name']: image for image in self.coco.loadImgs(
            self.coco.getImgIds())}  # fmt: skip

    def check(self, names: Sequence[str]) -> None:
        """As of `MaskFolder`."""
        _refuse_missing([name for name in names if name not in self.images], names, self.file)

    def read(self, name: str) -> np.ndarray:
        """As of `MaskFolder`; the image must be there."""
        try:
            return self._classes(self.images[name])
        except Exception as error:  # Of pycocotools, of no type of its own.
            raise UserError(
                f'{self.file} does not say where the objects of the image {name!r} are '
                f'({type(error).__name__}: {error}); an image has height and width, an annotation '
                "one of the file's categories and a mask of the image's size, or a box"
            ) from error

    def _classes(self, image: dict) -> np.ndarray:
        classes = np.full((image['height'], image['width']), self.num_classes)
        for annotation in self.coco.loadAnns(self.coco.getAnnIds([image['id']])):
            if not annotation.get('iscrowd'):
                place = self._place(annotation)
                classes[place] = self.labels[annotation['category_id']]
        return classes

    def _place(self, annotation: dict) -> np.ndarray | tuple[slice, slice]:
        """Where an object is: the pixels of its mask, or of its box."""
        if annotation.get('segmentation'):
            return self.coco.annToMask(annotation).astype(bool)
        left, top, width, height = annotation['bbox']
        # What is negative would count from the other end.
        rows, columns = (top, top + height), (left, left + width)
        return tuple(slice(*(max(0, round(edge)) for edge in side)) for side in (rows, columns))


def _refuse_missing(missing: Sequence[str], names: Sequence[str], source: Path) -> None:
    if missing:
        raise UserError(
            f'{source} has no mask of {len(missing):,} of {len(names):,} training images, such as '
            f'{missing[0]!r}; give --from-masks the masks of the images that are trained on'
        )


def cell_shares(
    classes: np.ndarray, grid: tuple[int, int], top_k: int
) -> tuple[np.ndarray, np.ndarray]:
    """The largest shares of classes in every cell.

    Args:
        classes: (height, width).
        grid: (Hs, Ws).
        top_k: k; where a cell has more classes, the smallest shares are left out.

    Returns:
        Shares (k, Hs, Ws), float16, from 0 to 1, and classes (k, Hs, Ws), int16.
    """
    shares: dict[int, np.ndarray] = defaultdict(lambda: np.zeros(grid, np.float32))
    for label in np.unique(classes):
        # The mean over the area of a cell, parts of pixels included.
        shares[int(label)] = _area_mean((classes == label).astype(np.float32), grid)
    ids = np.array([*shares])
    stacked = np.stack([*shares.values()])  # (classes there, Hs, Ws)
    order = np.argsort(-stacked, axis=0, kind='stable')[:top_k]
    values = np.zeros((top_k, *grid), np.float16)
    found = np.zeros((top_k, *grid), np.int16)
    values[: len(order)] = np.take_along_axis(stacked, order, axis=0)
    found[: len(order)] = ids[order]
    return values, found


def _area_mean(image: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    height, width = image.shape
    if height < grid[0] or width < grid[1]:
        # OpenCV averages areas only where it makes images smaller.
        repeat = -(-grid[0] // height), -(-grid[1] // width)
        image = image.repeat(repeat[0], axis=0).repeat(repeat[1], axis=1)
    return cv2.resize(image, grid[::-1], interpolation=cv2.INTER_AREA)
