"""A data set of digit or glyph scenes as a whole, and how it comes to disk.

It is written beside its place and moved there when complete, so that an interrupted run leaves
nothing that looks like a data set.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import cv2

from mmtoken.datasets import scene_files
from mmtoken.datasets.data_options import SceneDataOptions, dashed
from mmtoken.datasets.source import SPLITS
from mmtoken.errors import UserError

CHUNK = 50


def write_scene_data(
    out: Path,
    options: SceneDataOptions,
    workers: int = 1,
    overwrite: bool = False,
    report: Callable[[int], None] = lambda images: None,
) -> bool:
    """Write a data set, unless it is there already.

    Args:
        out: Folder of the data set; folders above it are made.
        options: What the data set consists of.
        workers: Processes that draw; the files do not depend on it.
        overwrite: Replace a data set made with other options.
        report: Called with the number of images that were just drawn.

    Returns:
        bool: True if the data set was written, False if it was there.

    Raises:
        UserError: If `out` holds something else, or cannot be written.
    """
    out = out.resolve()
    if is_written(out, options, overwrite):
        return False
    options.source.load()  # Before forking: once, and a missing package is told at once.
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # Beside its place: a folder moves in one step only within a file system.
        with tempfile.TemporaryDirectory(prefix=f'.{out.name}-', dir=out.parent) as scratch:
            fresh = Path(scratch) / 'fresh'
            _write_all(fresh, options, workers, report)
            if out.is_dir():
                out.replace(Path(scratch) / 'old')
            fresh.replace(out)
    except OSError as error:
        raise UserError(
            f'{out} cannot be written ({error.strerror or error}); choose another --out'
        ) from error
    return True


def is_written(out: Path, options: SceneDataOptions, overwrite: bool = False) -> bool:
    """Whether a folder already holds the data set that is asked for.

    Args:
        out: Folder of the data set.
        options: What the data set shall consist of.
        overwrite: Let a data set made with other options count as none.

    Returns:
        bool: True if nothing needs to be done, False if the data set can be written.

    Raises:
        UserError: If `out` holds something that must not be replaced.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    try:
        meta = json.loads((out / 'meta.json').read_text())
        found = {'version': meta['version'], **meta['options']}
        if meta['name'] != options.name:
            raise ValueError(meta['name'])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f'{out} exists and is not a {options.name} folder (it has no meta.json that says so); '
            'choose another --out'
        ) from error
    wanted = {'version': options.version, **options.spelled()}
    if found == wanted or overwrite:
        return found == wanted
    changed = [name for name in wanted if found.get(name) != wanted[name]]
    had = ', '.join(f'{dashed(name)} {found.get(name)}' for name in changed)
    now = ', '.join(f'{dashed(name)} {wanted[name]}' for name in changed)
    raise UserError(
        f'{out} was made with {had}, not {now}; '
        'give the same options, choose another --out, or replace it with --overwrite'
    )


def _write_all(
    root: Path, options: SceneDataOptions, workers: int, report: Callable[[int], None]
) -> None:
    """Write every file of the data set under `root`."""
    source = options.source
    labels = {
        split: source.take_turns(split, options.count('classification', split)) for split in SPLITS
    }
    scene_files.make_folders(root, source.classes)
    # Forking shares what is loaded; elsewhere than on Linux it is not safe.
    context = multiprocessing.get_context('fork' if sys.platform == 'linux' else 'spawn')
    scenes: dict[tuple[str, int], list[dict]] = {}
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker)
    try:
        jobs = {}
        for split in SPLITS:
            scene = options.scene('detection')
            for indices in _chunks(options.count('detection', split)):
                job = pool.submit(scene_files.write_scenes, root, scene, split, indices)
                jobs[job] = split, indices
        for split in SPLITS:
            scene = options.scene('classification')
            for indices in _chunks(options.count('classification', split)):
                some = labels[split][indices.start : indices.stop]
                job = pool.submit(scene_files.write_singles, root, scene, split, indices, some)
                jobs[job] = split, indices
        for job in as_completed(jobs):
            split, indices = jobs[job]
            for index, annotations in zip(indices, job.result() or (), strict=False):
                scenes[split, index] = annotations
            report(len(indices))
    finally:
        pool.shutdown(cancel_futures=True)
    for split in SPLITS:
        scene_files.write_single_list(root, source.classes, split, labels[split])
        annotations = [scenes[split, index] for index in range(options.count('detection', split))]
        scene_files.write_coco(root, options, split, annotations)
    (root / 'meta.json').write_text(json.dumps(options.meta(), indent=2) + '\n')


def _chunks(count: int) -> Iterator[range]:
    """The images one job draws, up to `CHUNK` at a time."""
    for start in range(0, count, CHUNK):
        yield range(start, min(start + CHUNK, count))


def _start_worker() -> None:
    """One thread a process; Ctrl-C is left to the parent, which cleans up."""
    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
