"""The command line of the converters that draw scenes: one for digits, one for glyphs."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mmtoken.datasets.data_options import SceneDataOptions, dashed
from mmtoken.datasets.glyphs import FEWEST_CLASSES, GLYPHS
from mmtoken.datasets.scene_data import is_written, write_scene_data
from mmtoken.datasets.scene_options import DIFFICULTIES, SHORTCUTS
from mmtoken.errors import UserError

HELP = {
    'cls_train': 'training images for classification',
    'cls_val': 'validation images for classification',
    'train': 'training scenes for detection and segmentation',
    'val': 'validation scenes for detection and segmentation',
    'cls_size': 'height and width of the classification images in pixels',
    'size': 'height and width of the scenes in pixels',
    'min_objects': 'fewest {noun}s in a scene',
    'max_objects': 'most {noun}s in a scene; the more, the smaller each is drawn',
    'occlusion': 'largest share of a {noun} that others may hide, from 0 to below 1',
    'difficulty': f'rotation, contrast, texture and noise: {", ".join(DIFFICULTIES)}',
    'seed': 'another seed draws other scenes from the same {noun}s and textures',
    'shortcut': 'what tells the class of training images without their digit, and nothing in '
    f'validation: {", ".join(SHORTCUTS)}',
    'shortcut_share': 'in how many training images it does',
    'classes': f'number of classes, {FEWEST_CLASSES} to {len(GLYPHS)}: the first of the list',
    'imbalance': 'how many times rarer the rarest class is than the commonest, in training',
}


def draw(
    options_class: type[SceneDataOptions], description: str, argv: Sequence[str] | None = None
) -> None:
    """Write a data set as a command line asks for it.

    Args:
        options_class: What it can ask for; every field is an option.
        description: What the tool's help says.
        argv: The command line's words; by default those of this process.

    Raises:
        UserError: If the data set cannot be drawn as asked, or not be written there.
    """
    args = vars(parse_args(options_class, description, argv))
    out, workers, overwrite = (args.pop(name) for name in ('out', 'workers', 'overwrite'))
    if workers < 1:
        raise UserError(f'workers {workers} draw nothing; choose 1 or more')
    options = options_class(**args)
    # Like Ctrl-C, so that the unfinished folder is removed.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    if is_written(out, options, overwrite):
        print(f'{out} is there with these options; nothing to do')
        return
    start = time.monotonic()
    with Progress(
        TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    ) as progress:
        bar = progress.add_task(f'drawing {out}', total=options.total)
        write_scene_data(
            out, options, workers, overwrite, lambda images: progress.advance(bar, images)
        )
    print(f'{out}: {options.total} images in {time.monotonic() - start:.0f} s')


def parse_args(
    options_class: type[SceneDataOptions], description: str, argv: Sequence[str] | None = None
) -> argparse.Namespace:
    """Read the command line: the options' fields by name, and out, workers and overwrite."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    folder = Path('data') / options_class.name.replace(' ', '_')
    parser.add_argument('--out', type=Path, default=folder, help='folder (default: %(default)s)')
    noun = options_class.name.split()[0]
    for field in fields(options_class):
        parser.add_argument(
            f'--{dashed(options_class.spell(field.name))}',
            dest=field.name,
            type=type(field.default),
            default=field.default,
            help=f'{HELP[field.name].format(noun=noun)} (default: %(default)s)',
        )
    parser.add_argument(
        '--workers',
        type=int,
        default=os.cpu_count() or 1,
        help='processes; the files do not depend on it (default: one a core, %(default)s)',
    )
    parser.add_argument(
        '--overwrite', action='store_true', help='replace a data set made with other options'
    )
    return parser.parse_args(argv)
