"""A store of label maps in the making."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from mmtoken.datasets.label_store import (
    ARRAYS,
    MANIFEST,
    Manifest,
    array_kind,
    open_array,
    read_manifest,
)
from mmtoken.errors import UserError
from mmtoken.tasks.task import write_json


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
            open_array(self.folder, name, manifest)
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
            dtype, shape = array_kind(name, manifest)
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
