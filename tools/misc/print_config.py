"""Print a config as it is after inheritance and overrides.

::

    python tools/misc/print_config.py CONFIG
    python tools/misc/print_config.py CONFIG --cfg-options train_cfg.max_epochs=1 --save-path x.py
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmtoken.config_check.check import check_config
from mmtoken.errors import UserError, exit_on_user_error
from mmtoken.runtime.cli import add_config_arguments, load_config

from mmengine.config import Config


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument('--save-path', help='write the config to this .py, .json or .yml file too')
    return parser.parse_args(argv)


@exit_on_user_error
def main(argv: Sequence[str] | None = None) -> None:
    """Print the config, then say what is wrong with it, if anything is.

    Args:
        argv: The arguments; ``sys.argv`` by default.
    """
    args = parse_args(argv)
    cfg = load_config(args.config, args.cfg_options, args.check)
    if args.save_path:
        save(cfg, Path(args.save_path))
    print(cfg.pretty_text)
    check_config(cfg, mode=args.check)


def save(cfg: Config, path: Path) -> None:
    """Write the config to a file.

    Args:
        cfg: The config.
        path: Where to; its ending chooses the format.

    Raises:
        UserError: If the format is unknown or the folder does not exist.
    """
    if path.suffix not in ('.py', '.json', '.yml', '.yaml'):
        raise UserError(f'--save-path {str(path)!r} must end in .py, .json, .yml or .yaml')
    if not path.parent.is_dir():
        raise UserError(f'--save-path {str(path)!r}: its folder does not exist; create it first')
    cfg.dump(path)


if __name__ == '__main__':
    main()
