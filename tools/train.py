"""Train a classifier (mmpretrain), detector (mmdet) or segmentor (mmsegmentation) from its config.

The config's ``default_scope`` decides which library is used::

    python tools/train.py configs/digits/life-d6w96_digits-cls.py
    python tools/train.py CONFIG --resume            # go on from the last checkpoint, if any
    python tools/train.py CONFIG --resume=must       # go on, or fail where there is none
    bash tools/dist_train.sh CONFIG 8                # eight GPUs of one machine
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from mmtoken.config_check.files import check_files
from mmtoken.config_check.outputs import check_folder
from mmtoken.config_check.trial import check_loaders
from mmtoken.errors import UserError, exit_on_user_error
from mmtoken.runtime.cli import (
    add_config_arguments,
    add_launch_arguments,
    add_trust_argument,
    load_checked_config,
    resolve_work_dir,
    trust_named,
)
from mmtoken.runtime.distributed import leave_launch, prepare_launch
from mmtoken.runtime.failures import explain_failures
from mmtoken.runtime.quiet import build_runner
from mmtoken.runtime.resuming.checkpoints import check_device_for_amp, named_checkpoints
from mmtoken.runtime.resuming.resume_choice import choose_checkpoint

from mmengine.config import Config


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line: the union of the three libraries' flags."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    add_launch_arguments(parser)
    parser.add_argument('--work-dir', help='folder for logs and checkpoints')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='PATH',
        help='go on from a checkpoint: from PATH, or with "auto" or nothing from the newest in the '
        'work dir that can be read; where there is none, training starts from the beginning and '
        'says so, or with "must" fails',
    )
    parser.add_argument('--amp', action='store_true', help='train in mixed precision')
    add_trust_argument(parser)
    parser.add_argument('--no-validate', action='store_true', help='do not evaluate in between')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help="scale the learning rate by the batch size over the config's base_batch_size",
    )
    parser.add_argument(
        '--no-persistent-workers',
        action='store_true',
        help='start the data loading processes anew in each epoch',
    )
    return parser.parse_args(argv)


def apply_flags(cfg: Config, args: argparse.Namespace) -> None:
    """Write the flags into the config.

    Args:
        cfg: The config, changed in place.
        args: The command line.

    Raises:
        UserError: If a flag needs what the config or the machine does not have.
    """
    cfg.launcher = args.launcher
    resolve_work_dir(cfg, args.work_dir)
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.amp:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    check_device_for_amp(cfg)
    if args.auto_scale_lr:
        if 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
            raise UserError(
                '--auto-scale-lr needs the batch size that the learning rate was chosen for; '
                f'add auto_scale_lr = dict(base_batch_size=...) to {cfg.filename}'
            )
        cfg.auto_scale_lr.enable = True
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        loader = cfg.get(name)
        if loader and args.no_pin_memory:
            loader.pin_memory = False
        if loader and args.no_persistent_workers:
            loader.persistent_workers = False
    # Before any is chosen, for which they are read.
    trust_named(args, cfg.get('load_from'), *named_checkpoints(Path(cfg.work_dir), args.resume))
    if args.resume:
        apply_resume(cfg, args.resume)


def apply_resume(cfg: Config, resume: str) -> None:
    """Choose the checkpoint to go on from.

    Left to the runner, ``--resume`` in an empty work dir would also drop the config's
    ``load_from`` without a word, and a fine-tuning run would start from random weights.

    Args:
        cfg: The config, changed in place.
        resume: A path, ``'auto'`` or ``'must'``.

    Raises:
        UserError: If there is nothing to go on from and there must be.
    """
    if resume not in ('auto', 'must'):
        cfg.resume, cfg.load_from = True, resume
        print(f'resume: training goes on from {resume}')
        return
    alone = cfg.get('launcher', 'none') == 'none'
    choice = choose_checkpoint(Path(cfg.work_dir), thorough=alone)
    cfg.resume = choice is not None
    if choice is None:
        if resume == 'must':
            raise UserError(
                f'--resume=must: there is no checkpoint in {cfg.work_dir}; name the folder of the '
                'run with --work-dir, or start it without --resume'
            )
        start = f'with the weights of {cfg.load_from}' if cfg.get('load_from') else 'from scratch'
        print(f'resume: no checkpoint in {cfg.work_dir}, so training starts {start}')
    elif alone:
        cfg.load_from = str(choice.checkpoint)
        print(choice)
    else:
        # The first process looks again and tells the others, when they are joined.
        cfg.load_from = None


def train(cfg: Config, print_config: bool) -> int:
    """Train.

    Args:
        cfg: The config.
        print_config: Whether it is printed.

    Returns:
        The exit code: 0, or that of a run which a signal ended, when nothing refers to it any more.
    """
    try:
        build_runner(cfg, print_config).train()
    except SystemExit as stop:
        return stop.code
    return 0


@exit_on_user_error
def main(argv: Sequence[str] | None = None) -> None:
    """Train from the command line.

    Args:
        argv: The arguments; ``sys.argv`` by default.
    """
    args = parse_args(argv)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = load_checked_config(
        args, needs=('model', 'train_dataloader', 'train_cfg', 'optim_wrapper')
    )
    apply_flags(cfg, args)
    loaders = ('train_dataloader', 'val_dataloader')
    check_files(cfg, loaders, mode=args.check)
    check_loaders(cfg, loaders, mode=args.check)
    check_folder('work_dir', cfg.work_dir)
    with explain_failures(cfg):
        prepare_launch(cfg)
        code = train(cfg, args.print_config)
        leave_launch(code)
    if code:
        raise SystemExit(code)


if __name__ == '__main__':
    main()
