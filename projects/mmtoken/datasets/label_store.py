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
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mmtoken.errors import UserError
from mmtoken.tasks.task import write_json

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
        arrays = {name: _open(self.folder, name, self.manifest) for name in ARRAYS}
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
        return _open(self.folder, 'names', self.manifest)

    @cached_property
    def _values(self) -> np.ndarray:
        return _open(self.folder, 'values', self.manifest)

    @cached_property
    def _ids(self) -> np.ndarray:
        return _open(self.folder, 'ids', self.manifest)


class LabelStoreWriter:
    """A store in the making, which goes on where it stopped.

    Args:
        folder: Its folder, made if it is not there.
        manifest: What it will be of.
        names: The images' paths from their folder, sorted.
        overwrite: Whether maps that are there are removed before.

    Raises:
        UserError: If the folder holds maps of something else, or damaged ones.
    """

    def __init__(
        self,
        folder: str | Path,
        manifest: Manifest,
        names: Sequence[str],
        overwrite: bool = False,
    ) -> None:
        self.folder = Path(folder)
        if overwrite:
            _remove(self.folder)
        if (self.folder / MANIFEST).exists():
            _check_same(read_manifest(self.folder), manifest, self.folder)
        else:
            self._begin(manifest, names)
        for name in ARRAYS:
            # To write to what is truncated, NumPy would enlarge it.
            _open(self.folder, name, manifest)
        self._arrays = {
            name: np.load(self.folder / f'{name}.npy', mmap_mode='r+') for name in ARRAYS[1:]
        }

    def _begin(self, manifest: Manifest, names: Sequence[str]) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise UserError(
                f'{self.folder} cannot be a folder, since a file stands there; choose another --out'
            ) from None
        np.save(self.folder / 'names.npy', np.array([name.encode() for name in names]))
        for name in ARRAYS[1:]:
            dtype, shape = _kind(name, manifest)
            file = self.folder / f'{name}.npy'
            np.lib.format.open_memmap(file, mode='w+', dtype=dtype, shape=shape).flush()
        # Last, so that what is there without it is begun anew.
        write_json(self.folder / MANIFEST, asdict(manifest))

    def left(self) -> np.ndarray:
        """The numbers of the images that have no map yet."""
        return np.flatnonzero(~self._arrays['done'])

    def write(self, indices: Sequence[int], values: np.ndarray, ids: np.ndarray) -> None:
        """Write the maps of some images.

        Args:
            indices: Their numbers, n of them.
            values: (n, k, Hs, Ws).
            ids: Their classes, (n, k, Hs, Ws).

        Raises:
            UserError: If a value is not finite.
        """
        with np.errstate(over='ignore'):
            values = values.astype(np.float16, copy=False)
        if not np.isfinite(values).all():
            raise UserError(
                'the annotator gives values that are not finite, or beyond the 65,504 of float16; '
                'use weights that classify, and images it was trained for'
            )
        self._arrays['values'][indices] = values
        self._arrays['ids'][indices] = ids
        # What is marked must be there, even if the machine stops in between.
        self._arrays['values'].flush()
        self._arrays['ids'].flush()
        self._arrays['done'][indices] = True
        self._arrays['done'].flush()


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


def _kind(name: str, manifest: Manifest) -> tuple[type, tuple[int, ...]]:
    """Type and shape of an array."""
    shape = manifest.shape()
    return dict(
        names=(np.bytes_, shape[:1]),
        values=(np.float16, shape),
        ids=(np.int16, shape),
        done=(np.bool_, shape[:1]),
    )[name]


def _open(folder: Path, name: str, manifest: Manifest) -> np.ndarray:
    """Open an array for reading."""
    file = folder / f'{name}.npy'
    dtype, shape = _kind(name, manifest)
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


def _remove(folder: Path) -> None:
    """Remove the files of a store, and nothing else that is in its folder."""
    file, arrays = folder / MANIFEST, [folder / f'{name}.npy' for name in ARRAYS]
    if not file.exists():
        return
    if not any(array.exists() for array in arrays):
        try:
            read_manifest(folder)
        except UserError:
            raise UserError(f'{file} is not of label maps; choose another --out') from None
    # The manifest goes first: what is there without it is begun anew.
    for each in (file, *arrays):
        each.unlink(missing_ok=True)


def _check_same(found: Manifest, asked: Manifest, folder: Path) -> None:
    ours, theirs = asdict(asked), asdict(found)
    for key in ('kind', 'classes', 'grid', 'top_k', 'source', 'images', 'count'):
        if ours[key] != theirs[key]:
            raise UserError(
                f'{folder} holds label maps of another {key}, {theirs[key]!r} instead of '
                f'{ours[key]!r}; choose another --out, or add --overwrite'
            )
