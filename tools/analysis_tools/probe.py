"""Read a segmentation data set's classes off the frozen patch tokens of a backbone.

k nearest neighbors and a logistic regression learn the class of every patch, that of most of its
pixels; k and C are chosen on a tenth of the training scenes, and both are tested once::

    python tools/analysis_tools/probe.py CONFIG CHECKPOINT --train-scenes 100

A classifier's backbone is probed on the data of a segmentation config; random weights, without
which a number says little, take the place of a checkpoint::

    python tools/analysis_tools/probe.py CLASSIFIER CHECKPOINT --data SEGMENTATION_CONFIG
    python tools/analysis_tools/probe.py CLASSIFIER --random-init 0 --data SEGMENTATION_CONFIG
"""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmtoken.config_check.check import check_config
from mmtoken.config_check.files import check_files
from mmtoken.errors import UserError, exit_on_user_error
from mmtoken.experiments.probe import MAX_PATCHES, probe
from mmtoken.experiments.probe_data import check_data_config
from mmtoken.experiments.probe_report import tables
from mmtoken.runtime.cli import (
    OptionsAction,
    add_config_arguments,
    add_trust_argument,
    check_device,
    load_checked_config,
    load_config,
    trust_named,
)
from mmtoken.runtime.failures import explain_failures
from mmtoken.tasks.task import write_json

from mmengine.config import Config
from rich.console import Console

LOADERS = ('train_dataloader', 'test_dataloader')


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument(
        'checkpoint',
        nargs='?',
        help="a checkpoint of the config's model, or none for random weights (--random-init 0)",
    )
    parser.add_argument(
        '--random-init', type=int, metavar='SEED', help='random weights in place of a checkpoint'
    )
    add_trust_argument(parser)
    parser.add_argument(
        '--data',
        metavar='CONFIG',
        help='segmentation config whose data, test pipeline and normalization are used; the config '
        'itself by default',
    )
    parser.add_argument(
        '--data-cfg-options',
        nargs='+',
        action=OptionsAction,
        metavar='KEY=VALUE',
        help='override settings of the config of --data',
    )
    scenes = parser.add_mutually_exclusive_group()
    scenes.add_argument(
        '--train-scenes',
        metavar='N|FILE',
        help='the first N training scenes, or those whose numbers, from 0, a file lists; by '
        'default what train_dataloader.dataset.indices says, or all',
    )
    scenes.add_argument('--indices', type=int, nargs='+', help='these training scenes')
    parser.add_argument('--test-scenes', metavar='N|FILE', help='the same of the test data')
    parser.add_argument(
        '--max-patches',
        type=int,
        default=MAX_PATCHES,
        help='training patches at most (default: %(default)s)',
    )
    parser.add_argument(
        '--level',
        type=int,
        default=-1,
        help='which feature map, where there are several (default: the last)',
    )
    parser.add_argument('--device', default='cpu', help='of the backbone (default: %(default)s)')
    parser.add_argument('--out', type=Path, metavar='FILE.json', help='write the numbers to a file')
    return parser.parse_args(argv)


def scenes_of(text: str | None, flag: str) -> int | list[int] | None:
    """Read how many scenes, or which.

    Args:
        text: A number, or a file of numbers: a JSON list, or with spaces or lines between them.
        flag: Where it stands, for the error.

    Raises:
        UserError: If it is neither.
    """
    if text is None or text.isdigit():
        return text and int(text)
    if not Path(text).is_file():
        raise UserError(f'{flag} {text!r} is neither a number of scenes nor a file that lists them')
    content = Path(text).read_text()
    if not re.fullmatch(r'\s*\[?[\d\s,]*\]?\s*', content):
        raise UserError(
            f'{flag}: the file {text!r} holds something else than numbers of scenes; list them, '
            'from 0, with spaces or commas between them'
        )
    return [int(number) for number in re.findall(r'\d+', content)]


def seed_of(args: argparse.Namespace) -> int | None:
    """The seed of random weights; None where there is a checkpoint.

    Raises:
        UserError: If the command line asks for neither or for both.
    """
    random = args.checkpoint == 'none' or args.random_init is not None
    if args.checkpoint is None and not random:
        raise UserError(
            'nothing says which weights are probed; name a checkpoint, or use --random-init 0'
        )
    if random and args.checkpoint not in (None, 'none'):
        raise UserError(
            f'--random-init {args.random_init} and the checkpoint {args.checkpoint!r} exclude each '
            'other; leave one of them out'
        )
    return (args.random_init or 0) if random else None


def load_data_config(args: argparse.Namespace, cfg: Config) -> Config:
    """The config whose data are probed on, checked, with its files.

    Args:
        args: The command line.
        cfg: The model's config, which it is by default.

    Raises:
        UserError: If it has no segmentation data, or they are not there.
    """
    if args.data:
        data_cfg = load_config(args.data, args.data_cfg_options, args.check)
        check_config(data_cfg, ('default_scope',), args.check)
    elif args.data_cfg_options:
        raise UserError('--data-cfg-options needs --data; without it, use --cfg-options')
    else:
        data_cfg = cfg
    check_data_config(data_cfg)
    # Not what its model would start from.
    read = {name: data_cfg[name] for name in ('default_scope', *LOADERS)}
    check_files(Config(read), LOADERS, args.check)
    return data_cfg


@exit_on_user_error
def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Probe from the command line.

    Args:
        argv: The arguments; ``sys.argv`` by default.

    Returns:
        The numbers.
    """
    args = parse_args(argv)
    seed = seed_of(args)
    if args.out and not args.out.resolve().parent.is_dir():
        raise UserError(f"--out '{args.out}': its folder does not exist; create it first")
    train_scenes = args.indices or scenes_of(args.train_scenes, '--train-scenes')
    test_scenes = scenes_of(args.test_scenes, '--test-scenes')
    cfg = load_checked_config(args, needs=('model', 'default_scope'))
    trust_named(args, args.checkpoint if seed is None else None)
    check_device(args.device)
    data_cfg = load_data_config(args, cfg)
    with explain_failures(data_cfg):
        report = probe(
            cfg,
            args.checkpoint if seed is None else None,
            data_cfg,
            train_scenes=train_scenes,
            test_scenes=test_scenes,
            max_patches=args.max_patches,
            level=args.level,
            seed=seed or 0,
            device=args.device,
            progress=True,
        )
    words = list(argv) if argv is not None else sys.argv[1:]
    report = dict(command=['python', 'tools/analysis_tools/probe.py', *words], **report)
    for table in tables(report):
        Console().print(table)
    for note in report['notes']:
        print(f'note: {note}')
    if args.out:
        write_json(args.out, report)
    return report


if __name__ == '__main__':
    main()
