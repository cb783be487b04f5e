"""Label maps of a training set on disk: two memory-mapped arrays and what they are of.

For each image k values and k classes of Hs×Ws cells, 4·k·Hs·Ws bytes: 6,480 for the 5 of 18×18
that the released annotator keeps, so 8.3 GB for the 1.28 million images of ImageNet-1k. One store
is read like an array, whatever number of files the images are (our design; the released code has
one file an image, which holds the same numbers).
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mmtoken.errors import UserError

KINDS = ('logit', 'share')
MANIFEST = 'manifest.json'
ARRAYS = ('names', 'values', 'ids', 'done')
TOOL = 'python tools/dataset_converters/make_token_labels.py'
VERSION = 1


def image_name(path: str | Path, folder: str | Path) -> str | None:
    """What a store calls an image: its path from the folder of images, with '/'.

    Args:
        path: The image's; of a million images, and so it is read as text.
        folder: Of the images.

    Returns:
        The name; None where the image is not in the folder.
    """
    path, folder = os.path.normpath(path), os.path.normpath(folder)
    start = '' if folder == '.' else os.path.join(folder, '')
    name = path.removeprefix(start)
    outside = not path.startswith(start) or name.startswith('..') or os.path.isabs(name)
    return None if outside else name.replace(os.sep, '/')


@dataclass(frozen=True)
class Manifest:
    """What a store is of; equal manifests are of equal maps.

    Args:
        kind: 'logit' or 'share'.
        classes: Number of classes, the background of shares included, which is the last.
        grid: Cells of a map, (Hs, Ws).
        top_k: k, values of a cell.
        source: What made them: an annotator's config and the digest of its weights, or a folder of
            masks.
        images: Digest of the list of images.
        count: How many they are.
        command: The command that makes the store.
        version: Of this layout.
    """

    kind: str
    classes: int
    grid: tuple[int, int]
    top_k: int
    source: dict[str, Any]
    images: str
    count: int
    command: str
    version: int = VERSION

    def shape(self) -> tuple[int, int, int, int]:
        """Of either array, (count, k, Hs, Ws)."""
        return self.count, self.top_k, *self.grid


class LabelStore:
    """A finished store, to be read.

    Args:
        folder: Its folder.

    Raises:
        UserError: If it is not there, unfinished, truncated or of another version.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.manifest = read_manifest(self.folder)
        arrays = {name: open_array(self.folder, name, self.manifest) for name in ARRAYS}
        left = int((~np.asarray(arrays['done'])).sum())
        if left:
            raise UserError(
                f'the label maps of {self.folder} lack {left} of {self.manifest.count} images; '
                f'the same command goes on: {self.manifest.command}'
            )

    def __getstate__(self) -> dict[str, Any]:
        # Every process opens the files itself.
        return dict(folder=self.folder, manifest=self.manifest)

    def find(self, name: str) -> int:
        """The number of an image.

        Args:
            name: Its path from the folder of images, with '/'.

        Raises:
            UserError: If the store has no map of it.
        """
        place = int(self._places([name])[0])
        if place < 0:
            raise UserError(
                f'{self.folder} has no label map of {name!r}, but of {self.manifest.count} others '
                f'such as {self._names[0].decode()!r}; it was made by: {self.manifest.command}'
            )
        return place

    def missing(self, names: Sequence[str]) -> list[str]:
        """Those of some images that the store has no map of."""
        return [names[index] for index in np.flatnonzero(self._places(names) < 0)]

    def _places(self, names: Sequence[str]) -> np.ndarray:
        """The numbers of images; -1 where there is none."""
        keys, known = np.array([name.encode() for name in names]), self._names
        places = np.searchsorted(known, keys).clip(max=len(known) - 1)
        return np.where(known[places] == keys, places, -1)

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Values (k, Hs, Ws), float16, and classes (k, Hs, Ws), int16, of an image."""
        return np.array(self._values[index]), np.array(self._ids[index])

    @cached_property
    def _names(self) -> np.ndarray:
        return open_array(self.folder, 'names', self.manifest)

    @cached_property
    def _values(self) -> np.ndarray:
        return open_array(self.folder, 'values', self.manifest)

    @cached_property
    def _ids(self) -> np.ndarray:
        return open_array(self.folder, 'ids', self.manifest)


def read_manifest(folder: Path) -> Manifest:
    """Read what a store is of.

    Args:
        folder: The store's.

    Returns:
        Its manifest.

    Raises:
        UserError: If there is none, or one of another version.
    """
    file = folder / MANIFEST
    try:
        found = json.loads(file.read_text())
        found = Manifest(**{**found, 'grid': tuple(found['grid'])})
    except FileNotFoundError:
        raise UserError(
            f'{folder} has no {MANIFEST}, so no label maps; make them: {TOOL} … --out {folder}'
        ) from None
    except (ValueError, TypeError, KeyError):
        raise UserError(
            f'{file} is not the manifest of label maps of version {VERSION}; make them anew: '
            f'{TOOL} … --out {folder} --overwrite'
        ) from None
    if found.version != VERSION or found.kind not in KINDS:
        raise UserError(
            f'{file} is of version {found.version} and kind {found.kind!r}, not {VERSION} and one '
            f'of {KINDS}; make the label maps anew: {found.command} --overwrite'
        )
    return found


def array_kind(name: str, manifest: Manifest) -> tuple[type, tuple[int, ...]]:
    """Type and shape of an array."""
    shape = manifest.shape()
    return dict(
        names=(np.bytes_, shape[:1]),
        values=(np.float16, shape),
        ids=(np.int16, shape),
        done=(np.bool_, shape[:1]),
    )[name]


def open_array(folder: Path, name: str, manifest: Manifest) -> np.ndarray:
    """Open an array for reading."""
    file = folder / f'{name}.npy'
    dtype, shape = array_kind(name, manifest)
    try:
        array = np.load(file, mmap_mode='r')
    except (OSError, ValueError):
        raise UserError(
            f'{file} is missing or truncated; make the label maps anew: '
            f'{manifest.command} --overwrite'
        ) from None
    if not np.issubdtype(array.dtype, dtype) or array.shape != shape:
        raise UserError(
            f'{file} holds {array.shape} of {array.dtype} where its manifest says {shape} of '
            f'{np.dtype(dtype)}; make the label maps anew: {manifest.command} --overwrite'
        )
    return array
