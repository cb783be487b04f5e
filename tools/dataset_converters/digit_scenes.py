"""Draw digit scenes: real handwritten digits on photographs of textures, for all three tasks.

Needs no download: the digits come with scikit-learn, the textures with scikit-image. About half
a minute on two cores::

    python tools/dataset_converters/digit_scenes.py --out data/digit_scenes

A second call with the same options finds the data set and does nothing.
"""

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from mmtoken.datasets.digit_data import DigitDataOptions, is_written, write_digit_scenes
from mmtoken.datasets.digit_scenes import DIFFICULTIES
from mmtoken.errors import UserError, exit_on_user_error

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

HELP = {
    'cls_train': 'training images for classification',
    'cls_val': 'validation images for classification',
    'train': 'training scenes for detection and segmentation',
    'val': 'validation scenes for detection and segmentation',
    'cls_size': 'height and width of the classification images in pixels',
    'size': 'height and width of the scenes in pixels',
    'min_digits': 'fewest digits in a scene',
    'max_digits': 'most digits in a scene; the more, the smaller each is drawn',
    'occlusion': 'largest share of a digit that others may hide, from 0 to below 1',
    'difficulty': f'rotation, contrast, texture and noise: {", ".join(DIFFICULTIES)}',
    'seed': 'another seed draws other scenes from the same digits and textures',
}


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; every field of `DigitDataOptions` is an option."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out', type=Path, default=Path('data/digit_scenes'), help='folder')
    for field in fields(DigitDataOptions):
        parser.add_argument(
            f'--{field.name.replace("_", "-")}',
            type=type(field.default),
            default=field.default,
            help=f'{HELP[field.name]} (default: %(default)s)',
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


@exit_on_user_error
def main(argv: Sequence[str] | None = None) -> None:
    """Write the data set."""
    args = parse_args(argv)
    if args.workers < 1:
        raise UserError(f'workers {args.workers} draw nothing; choose 1 or more')
    names = [field.name for field in fields(DigitDataOptions)]
    options = DigitDataOptions(**{name: getattr(args, name) for name in names})
    # Like Ctrl-C, so that the unfinished folder is removed.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    if is_written(args.out, options, args.overwrite):
        print(f'{args.out} is there with these options; nothing to do')
        return
    start = time.monotonic()
    with Progress(
        TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    ) as progress:
        bar = progress.add_task(f'drawing {args.out}', total=options.total)
        write_digit_scenes(
            args.out,
            options,
            args.workers,
            args.overwrite,
            lambda images: progress.advance(bar, images),
        )
    print(f'{args.out}: {options.total} images in {time.monotonic() - start:.0f} s')


if __name__ == '__main__':
    main()
