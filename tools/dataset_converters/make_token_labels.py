"""Make label maps of a training set, for TokenLabelClassifier.

A classifier annotates the images that its config trains on, whole and resized to a square::

    python tools/dataset_converters/make_token_labels.py CONFIG CHECKPOINT --out data/labels

Where masks are known no annotator is needed; the maps then have the share of each class in each
cell, the background as last class. Masks are PNGs named as the images, or a COCO file::

    python tools/dataset_converters/make_token_labels.py CONFIG --from-masks MASKS --grid 16 16 \
        --num-classes 10 --out data/labels

An interrupted call goes on where it stopped. Images that cannot be read, up to 1 in 100, are named
once all others have their maps; the same command goes on with them when they are mended.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from mmtoken.datasets.make_labels import Job, fill_from_masks, fill_from_model
from mmtoken.errors import UserError, exit_on_user_error
from mmtoken.runtime.cli import (
    add_config_arguments,
    add_trust_argument,
    check_device,
    load_checked_config,
    trust_named,
)
from mmtoken.runtime.failures import explain_failures

import torch
from mmengine.registry import init_default_scope
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument('checkpoint', nargs='?', help="weights of the config's classifier")
    add_trust_argument(parser)
    parser.add_argument('--out', type=Path, required=True, help="the maps' folder")
    parser.add_argument(
        '--img-size', type=int, help="side of the images that the annotator sees; the config's"
    )
    parser.add_argument(
        '--top-k', type=int, default=5, help='classes that are kept for a cell (%(default)s)'
    )
    parser.add_argument('--batch-size', type=int, default=64, help='images at once (%(default)s)')
    parser.add_argument('--workers', type=int, default=2, help='processes that read (%(default)s)')
    default = 'cuda' if torch.cuda.is_available() else 'cpu'
    parser.add_argument('--device', default=default, help='of the annotator (%(default)s)')
    masks = parser.add_argument_group('maps from masks')
    masks.add_argument('--from-masks', type=Path, help='folder of PNG masks, or COCO annotations')
    masks.add_argument('--num-classes', type=int, help='classes, without the background')
    masks.add_argument(
        '--background',
        type=int,
        default=0,
        help='its value in PNG masks (%(default)s); the other values in their order are the '
        'classes, so 1 is the first one beside 0, and 0 beside 255',
    )
    masks.add_argument(
        '--grid', type=int, nargs='+', metavar='CELLS', help='cells of a map, rows and columns'
    )
    parser.add_argument(
        '--overwrite', action='store_true', help='remove maps that are there and begin anew'
    )
    return parser.parse_args(argv)


def check_args(args: argparse.Namespace) -> None:
    """Refuse a command line that says too little, or what does not go together.

    Args:
        args: What it says.

    Raises:
        UserError: If it cannot work.
    """
    if (args.checkpoint is None) == (args.from_masks is None):
        raise UserError(
            'label maps come either from an annotator or from masks; give a checkpoint or '
            '--from-masks'
        )
    for name in ('top_k', 'batch_size', 'img_size', 'num_classes'):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise UserError(f'--{name.replace("_", "-")} {value} is too small; use 1 or more')
    if args.workers < 0:
        raise UserError(f'--workers {args.workers} is too small; use 0 or more')
    check_device(args.device)
    if args.from_masks is None:
        return
    if not args.from_masks.exists():
        raise UserError(
            f'--from-masks {args.from_masks} does not exist; name a folder of PNG masks or a COCO '
            'annotation file'
        )
    if args.num_classes is None or not args.grid or len(args.grid) > 2 or min(args.grid) < 1:
        raise UserError(
            '--from-masks wants --num-classes, without the background, and --grid, the cells of a '
            'map, such as --grid 16 16'
        )


@exit_on_user_error
def main(argv: Sequence[str] | None = None) -> None:
    """Make the maps that a command line asks for."""
    args = parse_args(argv)
    check_args(args)
    cfg = load_checked_config(args, needs=('model', 'train_dataloader'))
    init_default_scope(cfg.default_scope)
    trust_named(args, args.checkpoint)
    words = [word for word in (sys.argv[1:] if argv is None else argv) if word != '--overwrite']
    command = shlex.join(['python', 'tools/dataset_converters/make_token_labels.py', *words])
    # What sentences about failures name.
    cfg.train_dataloader.update(batch_size=args.batch_size, num_workers=args.workers)
    with (
        explain_failures(cfg),
        Progress(
            TextColumn('{task.description}'),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        ) as display,
    ):
        bar = display.add_task(f'labeling {args.out}', total=None)

        def progress(done: int, total: int) -> None:
            display.update(bar, completed=done, total=total)

        job = Job(args.out, args.top_k, command, args.workers, progress, args.overwrite)
        if args.from_masks is None:
            side = args.img_size or trained_size(cfg)
            manifest = fill_from_model(
                cfg, args.checkpoint, side, args.batch_size, args.device, job
            )
        else:
            grid = (args.grid[0], args.grid[-1])
            manifest = fill_from_masks(
                cfg, args.from_masks, args.num_classes, args.background, grid, job
            )
    size = 4 * manifest.top_k * manifest.grid[0] * manifest.grid[1]
    print(
        f'{args.out}: {manifest.count} label maps of {manifest.grid[0]}x{manifest.grid[1]} cells, '
        f'{manifest.classes} classes, {size} bytes each'
    )


def trained_size(cfg) -> int:
    """The side of the images that a config trains on.

    Args:
        cfg: The config.

    Returns:
        The last size that its training pipeline has.

    Raises:
        UserError: If it has none.
    """
    dataset = cfg.train_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    steps = list(dataset.get('pipeline') or [])
    while steps:
        step = steps.pop()
        if isinstance(step, (list, tuple)):
            # A choice of pipelines.
            steps += step
            continue
        steps += step.get('transforms') or []
        size = step.get('scale') or step.get('crop_size')
        if size:
            return size if isinstance(size, int) else max(size)
    raise UserError('the training pipeline resizes to no size; give --img-size')


if __name__ == '__main__':
    main()
