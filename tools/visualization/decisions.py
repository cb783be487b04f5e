"""Draw what a classifier's decisions rest on: before a calibration, and after it.

How much of each layer's relevance lies on the foreground, how many dimensions each class rests on,
and where in some images the relevance of their classes comes from. The images are those that the
config trains on, as it tests them::

    python tools/visualization/decisions.py CONFIG before=BEFORE.pth after=AFTER.pth \
        --out decisions.png
"""

import argparse
import copy
from collections.abc import Sequence
from pathlib import Path

from mmtoken.errors import UserError, exit_on_user_error
from mmtoken.runtime.cli import (
    add_config_arguments,
    add_trust_argument,
    load_checked_config,
    trust_named,
)
from mmtoken.runtime.failures import explain_failures
from mmtoken.runtime.load_model import load_model
from mmtoken.vit_calibrator import CalibratedClassifier
from mmtoken.vit_calibrator.decisions import Decisions, measure_decisions, plot_decisions

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmpretrain.registry import DATASETS
from rich.progress import track
from torch.utils.data import DataLoader, Subset


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument(
        'checkpoints', nargs='+', metavar='NAME=CHECKPOINT', help='weights of the whole classifier'
    )
    add_trust_argument(parser)
    parser.add_argument('--out', type=Path, default=Path('decisions.png'), help='the picture')
    parser.add_argument(
        '--number', type=int, default=500, help='images, drawn at random (default: %(default)s)'
    )
    parser.add_argument(
        '--shown', type=int, default=10, help='images to paint (default: %(default)s)'
    )
    return parser.parse_args(argv)


def named_checkpoints(words: Sequence[str]) -> dict[str, str]:
    """Checkpoints by their names.

    Raises:
        UserError: If one has no name, or two have the same.
    """
    found = dict(word.partition('=')[::2] for word in words)
    unnamed = [name for name, path in found.items() if not path]
    if unnamed or len(found) < len(words):
        raise UserError(
            f'{" ".join(words)}: give each checkpoint a name of its own, such as before=epoch_6.pth'
        )
    return found


def tested_images(cfg: Config, number: int) -> DataLoader:
    """Training data as it is tested, with its label maps where training has some.

    Args:
        cfg: The config.
        number: Images, at most: drawn from the whole list, whose order may be that of the classes.
    """
    data = copy.deepcopy(cfg.train_dataloader.dataset)
    pipeline = list(cfg.test_dataloader.dataset.pipeline)
    labels = [step for step in data.pipeline if step.type.endswith('LoadTokenLabels')]
    if labels:
        first, *between, _ = pipeline
        track_affine = dict(type='TrackAffine', transforms=between)
        pipeline = [first, labels[0], track_affine, dict(type='PackTokenLabels')]
    data.pipeline = pipeline
    dataset = DATASETS.build(data)
    order = torch.randperm(len(dataset), generator=torch.Generator().manual_seed(0))
    chosen = Subset(dataset, order[:number].tolist())
    batch_size = cfg.train_dataloader.batch_size
    return DataLoader(chosen, batch_size, collate_fn=pseudo_collate)


def measure_all(
    cfg: Config, checkpoints: dict[str, str], number: int, shown: int
) -> tuple[dict[str, Decisions], Sequence[str]]:
    """Measure each checkpoint over the same images.

    Args:
        cfg: Of a `CalibratedClassifier`, whose foreground it is held against.
        checkpoints: By name; a foreground that is the model's own is the first one's.
        number: Images, at most.
        shown: Images to keep.

    Returns:
        The decisions by name, and the names of the classes.

    Raises:
        UserError: If the config has no foreground.
    """
    init_default_scope(cfg.default_scope)
    loader = tested_images(cfg, number)
    found, foreground = {}, None
    for name, checkpoint in checkpoints.items():
        model = load_model(cfg, checkpoint)
        if not isinstance(model, CalibratedClassifier) or model.foreground is None:
            raise UserError(
                f'the model of the config is a {type(model).__name__} without a foreground to hold '
                'its decisions against; give the config of a CalibratedClassifier that has one'
            )
        if foreground is None:
            foreground = model.foreground
            foreground.remember(model)
        batches = track(loader, description=name)
        found[name] = measure_decisions(model, batches, foreground, shown)
    return found, loader.dataset.dataset.metainfo.get('classes') or []


@exit_on_user_error
def main(argv: Sequence[str] | None = None) -> None:
    """Draw from the command line.

    Args:
        argv: The arguments; ``sys.argv`` by default.
    """
    args = parse_args(argv)
    for name in ('number', 'shown'):
        if getattr(args, name) < 1:
            raise UserError(f'--{name} {getattr(args, name)} asks for no image; give 1 or more')
    checkpoints = named_checkpoints(args.checkpoints)
    trust_named(args, *checkpoints.values())
    cfg = load_checked_config(args, needs=('model', 'train_dataloader', 'test_dataloader'))
    with explain_failures(cfg):
        found, classes = measure_all(cfg, checkpoints, args.number, args.shown)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    plot_decisions(found, classes, Path(args.config).stem, args.out)
    for name, decisions in found.items():
        shares = ', '.join(f'{100 * share:.0f}' for share in decisions.shares) or 'unknown'
        print(
            f'{name}: {100 * decisions.accuracy:.1f} % right; on the foreground, layer by layer: '
            f'{shares} % of the relevance'
        )
    print(f'the picture is {args.out}')


if __name__ == '__main__':
    main()
