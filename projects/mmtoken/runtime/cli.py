"""What every tool's command line shares: its flags, and a config read with its overrides."""

import argparse
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from mmengine.config import Config, DictAction

from mmtoken.config_check.check import check_config
from mmtoken.config_check.mode import MODES, VARIABLE
from mmtoken.config_check.options import check_options
from mmtoken.errors import UserError, near_miss, reason_of
from mmtoken.runtime.safe_loading import trust_checkpoint


class OptionsAction(DictAction):
    """mmengine's ``KEY=VALUE`` parser, which answers what it cannot split with a sentence."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[str] | None,
        option_string: str | None = None,
    ) -> None:
        for value in values or ():
            if not value.partition('=')[1]:
                parser.error(f'--cfg-options {value!r} is not of the form KEY=VALUE')
        try:
            super().__call__(parser, namespace, values, option_string)
        except AssertionError as error:
            parser.error(f'--cfg-options {" ".join(values or ())}: {error}')
        except RecursionError:
            parser.error(
                f'--cfg-options {" ".join(values or ())}: dicts in lists cannot be read here; '
                'write them in a config whose _base_ is yours'
            )


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the config, ``--cfg-options`` and ``--check``, which every tool that reads one takes.

    Args:
        parser: The tool's parser.
    """
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionsAction,
        metavar='KEY=VALUE',
        help='override settings of the config: model.head.num_classes=10, a list as '
        'key="[a,b]" or key=a,b, an element of a list as key.0.name=value; no spaces',
    )
    add_check_argument(parser)


def add_check_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--check``.

    Args:
        parser: The tool's parser.
    """
    parser.add_argument(
        '--check',
        choices=MODES,
        help='what is done about a config that seems wrong: refuse it (error, the default), say '
        f'what is wrong and go on (warn), or look away (off); {VARIABLE} in the environment '
        'says it for all tools',
    )


def add_trust_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--trust-checkpoint``, which every tool that is given a checkpoint takes.

    Args:
        parser: The tool's parser.
    """
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='let the checkpoint that is named execute the code it holds; without this, one that '
        'holds more than weights and plain data is refused',
    )


def trust_named(args: argparse.Namespace, *checkpoints: str | None) -> None:
    """Do what the flag of :func:`add_trust_argument` says.

    Args:
        args: The command line.
        checkpoints: The files or addresses that it names; None where it names none.
    """
    for checkpoint in checkpoints:
        if args.trust_checkpoint and checkpoint:
            trust_checkpoint(checkpoint)


def check_device(name: str) -> None:
    """Refuse a device that torch does not know, or that is not there.

    Args:
        name: What ``--device`` says.

    Raises:
        UserError: If it is not there.
    """
    try:
        torch.empty(0, device=name)
    # torch asserts that it was built for it.
    except (RuntimeError, AssertionError) as error:
        raise UserError(f'--device {name!r} is not here; use cpu ({reason_of(error)})') from error


def add_launch_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that training and testing take: how processes start, and what is printed.

    Args:
        parser: The tool's parser.
    """
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how the processes of a distributed run were started',
    )
    # torch.distributed.launch passes one spelling or the other, depending on its version.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument(
        '--no-pin-memory',
        action='store_true',
        help='do not let the data loaders copy batches into page-locked memory',
    )
    parser.add_argument(
        '--print-config',
        action='store_true',
        help='print the config as it runs; the log file in the work dir has it in any case',
    )


def load_checked_config(args: argparse.Namespace, needs: Sequence[str] = ()) -> Config:
    """Read the config of a command line and look for what is wrong with it.

    Args:
        args: What the flags of :func:`add_config_arguments` say.
        needs: Top-level keys that the tool cannot do without.

    Returns:
        The config, with its overrides.

    Raises:
        UserError: As of :func:`load_config`, or for a config that is refused.
    """
    cfg = load_config(args.config, args.cfg_options, args.check)
    check_config(cfg, needs, args.check)
    return cfg


def load_config(path: str, options: dict | None = None, check: str | None = None) -> Config:
    """Read a config file and merge the command line's overrides into it.

    Args:
        path: A Python, JSON or YAML config.
        options: Dotted keys and values, from ``--cfg-options``.
        check: What is done about options that name no place, as ``--check`` says it.

    Returns:
        The config.

    Raises:
        UserError: If the file is not there or cannot be read, or if an option names a place that
            the config does not have.
    """
    if not Path(path).is_file():
        raise UserError(_missing_config(path))
    try:
        cfg = Config.fromfile(path)
    except UserError:
        raise  # its _base_ names none of our configs
    except FileNotFoundError as error:
        raise UserError(
            f'config {path!r} inherits from a file that does not exist: {error}; '
            'correct its _base_, whose paths are relative to the config'
        ) from error
    except ImportError as error:
        remedy = 'install it, or put its folder on PYTHONPATH'
        # OneDL's mmengine looks for mmseg under the name of OpenMMLab's distribution.
        if 'mmsegmentation is not installed' in str(error) and find_spec('mmseg'):
            remedy = (
                "in place of 'mmseg::…' write "
                "_base_ = __import__('mmseg').__path__[0] + '/.mim/configs/…'"
            )
        raise UserError(
            f'config {path!r} imports a module that fails to import: {error.__cause__ or error}; '
            f'{remedy}'
        ) from error
    except Exception as error:  # A config is a program, so reading it can fail in any way.
        message = reason_of(error)
        remedy = 'correct the file'
        if 'load mmtoken config' in message:  # mmengine's answer to _base_ = 'mmtoken::…'
            remedy = (
                "write _base_ = __import__('mmtoken').config_path('…') in place of 'mmtoken::…'"
            )
        raise UserError(
            f'config {path!r} cannot be read: {type(error).__name__}: {message}; {remedy}'
        ) from error
    if options:
        merge_options(cfg, options, check)
    return cfg


def merge_options(cfg: Config, options: dict, check: str | None = None) -> None:
    """Merge overrides into a config.

    Args:
        cfg: The config, changed in place.
        options: Dotted keys and values.
        check: What is done about options that name no place, as ``--check`` says it.

    Raises:
        UserError: If an option names a place that the config does not have.
    """
    check_options(cfg, options, check)
    try:
        cfg.merge_from_dict(options)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f'--cfg-options {" ".join(options)} does not fit the config: {error}; '
            'see the config with tools/misc/print_config.py'
        ) from error


def resolve_work_dir(cfg: Config, work_dir: str | None) -> None:
    """Set ``cfg.work_dir``: the flag, else the config's own, else ``work_dirs/<config name>``.

    Args:
        cfg: The config, changed in place.
        work_dir: The value of ``--work-dir``.
    """
    default = os.path.join('work_dirs', Path(cfg.filename).stem)
    cfg.work_dir = work_dir or cfg.get('work_dir') or default


def _missing_config(path: str) -> str:
    """Say that a config is not there, and which one may have been meant."""
    if Path(path).is_dir():
        return f'config {path!r} is a folder; name a config file in it'
    near = [*Path(path).parent.glob('*.py'), *Path('configs').rglob('*.py')]
    known = {str(file) for file in near} if path else set()
    # A right name in a wrong folder is as likely as a wrong name, so both are compared.
    same_name = sorted(file for file in known if Path(file).name == Path(path).name)
    hint = f'; did you mean {same_name[0]!r}?' if same_name else near_miss(path, known)
    return f'config {path!r} does not exist{hint or "; give the path of a config file"}'
