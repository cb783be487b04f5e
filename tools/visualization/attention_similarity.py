"""Draw how much the attention maps of a backbone's layers resemble each other.

PSViT lets neighboring layers share a map, since theirs are much alike. Whether yours are::

    python tools/visualization/attention_similarity.py CONFIG CHECKPOINT --out similarity.png
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmtoken.errors import UserError, exit_on_user_error
from mmtoken.psvit.similarity import map_similarity, neighbors, plot_similarity
from mmtoken.runtime.cli import (
    add_config_arguments,
    add_trust_argument,
    load_checked_config,
    trust_named,
)
from mmtoken.runtime.failures import explain_failures
from mmtoken.runtime.load_model import load_model
from mmtoken.vit import TokenViT

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from rich.progress import track
from torch import Tensor


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='weights of the whole model')
    add_trust_argument(parser)
    parser.add_argument('--out', type=Path, default=Path('similarity.png'), help='the picture')
    parser.add_argument(
        '--number', type=int, default=32, help='images of the test data (default: %(default)s)'
    )
    return parser.parse_args(argv)


def measure(cfg: Config, checkpoint: str, number: int) -> tuple[Tensor, float, int]:
    """The mean similarity over images of a config's test data.

    Args:
        cfg: The config.
        checkpoint: Weights of its model.
        number: Images, at most.

    Returns:
        (L, L), of neighbors that do not share the mean, and how many images there were.

    Raises:
        UserError: If the backbone is none of the family.
    """
    init_default_scope(cfg.default_scope)
    model = load_model(cfg, checkpoint)
    if not isinstance(model.backbone, TokenViT):
        raise UserError(
            f'the backbone is {type(model.backbone).__name__}, which is none of the TokenViT '
            'family; give a config of one that is'
        )
    # One image at a time: those of detectors and segmentors differ in size.
    loader = dict(cfg.test_dataloader, batch_size=1, num_workers=0, persistent_workers=False)
    images, found = Runner.build_dataloader(loader, seed=0), []
    count = min(number, len(images))
    for data, _ in zip(images, track(range(count), description='similarity'), strict=False):
        inputs = model.data_preprocessor(data, False)['inputs']
        found.append(map_similarity(model.backbone, inputs))
    mean = torch.stack(found).mean(dim=0)
    return mean, neighbors(mean, model.backbone), count


@exit_on_user_error
def main(argv: Sequence[str] | None = None) -> None:
    """Draw from the command line.

    Args:
        argv: The arguments; ``sys.argv`` by default.
    """
    args = parse_args(argv)
    if args.number < 1:
        raise UserError(f'--number {args.number} asks for no image; give 1 or more')
    cfg = load_checked_config(args, needs=('model', 'test_dataloader'))
    trust_named(args, args.checkpoint)
    with explain_failures(cfg):
        found, likeness, count = measure(cfg, args.checkpoint, args.number)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    plot_similarity(found, f'{Path(args.config).stem}, {count} images', args.out)
    print(f'neighboring layers that do not share, on average: {likeness:.2f}')
    print(f'the picture is {args.out}')


if __name__ == '__main__':
    main()
