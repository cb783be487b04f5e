"""A digit scenes data set as a whole: its options, and how it comes to disk.

It is written beside its place and moved there when complete, so that an interrupted run leaves
nothing that looks like a data set.
"""

from __future__ import annotations

import json
import multiprocessing
import signal
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2

from mmtoken.datasets import digit_files
from mmtoken.datasets.digit_scenes import SceneOptions
from mmtoken.datasets.digit_sources import SPLITS, digit_images
from mmtoken.errors import UserError

VERSION = 2
"""Raised whenever the same options draw other scenes."""

CHUNK = 50


@dataclass(frozen=True)
class DigitDataOptions:
    """What a data set consists of.

    Args:
        cls_train: Training images for classification, one digit each.
        cls_val: Validation images for classification.
        train: Training scenes for detection and segmentation.
        val: Validation scenes for detection and segmentation.
        cls_size: Height and width of the classification images in pixels.
        size: Height and width of the scenes in pixels.
        min_digits: Fewest digits in a scene.
        max_digits: Most digits in a scene; the more, the smaller each is drawn.
        occlusion: Largest share of a digit that others may hide, in [0, 1).
        difficulty: 'easy', 'medium' or 'hard'.
        seed: Seed of every scene's random stream.

    Raises:
        UserError: If a value, or a combination of them, makes no data set.
    """

    cls_train: int = 6000
    cls_val: int = 1500
    train: int = 1500
    val: int = 300
    cls_size: int = 64
    size: int = 128
    min_digits: int = 1
    max_digits: int = 6
    occlusion: float = 0.1
    difficulty: str = 'easy'
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ('cls_train', 'cls_val', 'train', 'val'):
            if getattr(self, name) < 1:
                raise UserError(
                    f'{_dashed(name)} {getattr(self, name)} asks for no image; choose 1 or more'
                )
        for task in ('classification', 'detection'):
            self.scene(task)

    def scene(self, task: str) -> SceneOptions:
        """Options of the scenes of 'classification' or 'detection', checked."""
        if task == 'classification':
            return SceneOptions(self.cls_size, 1, 1, 0.0, self.difficulty, self.seed)
        return SceneOptions(
            self.size,
            self.min_digits,
            self.max_digits,
            self.occlusion,
            self.difficulty,
            self.seed,
        )

    def count(self, task: str, split: str) -> int:
        """Number of images of 'classification' or 'detection' in a split."""
        return getattr(self, f'cls_{split}' if task == 'classification' else split)

    @property
    def total(self) -> int:
        """Number of images to draw."""
        return self.cls_train + self.cls_val + self.train + self.val


def write_digit_scenes(
    out: Path,
    options: DigitDataOptions,
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
    digit_images()  # Load before forking: once, and a missing package is told at once.
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


def is_written(out: Path, options: DigitDataOptions, overwrite: bool = False) -> bool:
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
        found = json.loads((out / 'meta.json').read_text())
        found = {'version': found['version'], **found['options']}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f'{out} exists and is not a digit scenes folder (it has no readable meta.json); '
            'choose another --out'
        ) from error
    wanted = {'version': VERSION, **asdict(options)}
    if found == wanted or overwrite:
        return found == wanted
    changed = [name for name in wanted if found.get(name) != wanted[name]]
    had = ', '.join(f'{_dashed(name)} {found.get(name)}' for name in changed)
    now = ', '.join(f'{_dashed(name)} {wanted[name]}' for name in changed)
    raise UserError(
        f'{out} was made with {had}, not {now}; '
        'give the same options, choose another --out, or replace it with --overwrite'
    )


def _dashed(name: str) -> str:
    return name.replace('_', '-')


def _write_all(
    root: Path, options: DigitDataOptions, workers: int, report: Callable[[int], None]
) -> None:
    """Write every file of the data set under `root`."""
    digit_files.make_folders(root)
    # Forking shares what is loaded; elsewhere than on Linux it is not safe.
    context = multiprocessing.get_context('fork' if sys.platform == 'linux' else 'spawn')
    scenes: dict[tuple[str, int], list[dict]] = {}
    pool = ProcessPoolExecutor(workers, context, initializer=_start_worker)
    try:
        jobs = {}
        for task, write in (
            ('detection', digit_files.write_scenes),
            ('classification', digit_files.write_singles),
        ):
            for split in SPLITS:
                count = options.count(task, split)
                for start in range(0, count, CHUNK):
                    indices = range(start, min(start + CHUNK, count))
                    job = pool.submit(write, root, options.scene(task), split, indices)
                    jobs[job] = split, indices
        for job in as_completed(jobs):
            split, indices = jobs[job]
            for index, annotations in zip(indices, job.result() or (), strict=False):
                scenes[split, index] = annotations
            report(len(indices))
    finally:
        pool.shutdown(cancel_futures=True)
    for split in SPLITS:
        digit_files.write_single_list(root, split, options.count('classification', split))
        annotations = [scenes[split, index] for index in range(options.count('detection', split))]
        digit_files.write_coco(root, split, options.size, annotations)
    meta = {'name': 'digit scenes', 'version': VERSION, 'options': asdict(options)}
    (root / 'meta.json').write_text(json.dumps(meta, indent=2) + '\n')


def _start_worker() -> None:
    """One thread a process; Ctrl-C is left to the parent, which cleans up."""
    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
