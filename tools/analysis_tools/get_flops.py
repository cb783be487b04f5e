"""Count a model's parameters, its multiply-accumulates and the tokens of each layer.

::

    python tools/analysis_tools/get_flops.py CONFIG
    python tools/analysis_tools/get_flops.py CONFIG --shape 512 512 --json costs.json

The MACs are those that papers state: one per multiplication of a matrix product or convolution,
attention's two products included, and fvcore's count for norms (5 per element, 2 for a batch norm
at test time). Nothing else counts, nor do mmcv's compiled operators. A two-stage detector's heads
are counted for the proposals of random weights.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmtoken.errors import UserError, exit_on_user_error
from mmtoken.experiments.costs import count_costs, image_shape, tables
from mmtoken.runtime.cli import add_config_arguments, load_checked_config

from mmengine.registry import MODELS, init_default_scope
from rich.console import Console


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument(
        '--shape',
        type=int,
        nargs='+',
        metavar='SIDE',
        help='image height and width, or one side; default: what the config tests at',
    )
    parser.add_argument(
        '--json',
        nargs='?',
        const='-',
        metavar='FILE',
        help='write the numbers as JSON to FILE, or print them in place of the tables',
    )
    return parser.parse_args(argv)


@exit_on_user_error
def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Count from the command line.

    Args:
        argv: The arguments; ``sys.argv`` by default.

    Returns:
        The numbers.
    """
    args = parse_args(argv)
    cfg = load_checked_config(args, needs=('model', 'default_scope'))
    shape = image_shape(cfg, args.shape)
    if args.json not in (None, '-') and not Path(args.json).resolve().parent.is_dir():
        raise UserError(f'--json {args.json!r}: its folder does not exist; create it first')
    init_default_scope(cfg.default_scope)
    costs = {'config': args.config, 'shape': list(shape)}
    costs |= count_costs(MODELS.build(cfg.model), shape, cfg.default_scope)
    if args.json == '-':
        print(json.dumps(costs))
    else:
        for table in tables(costs):
            Console().print(table)
        if args.json:
            Path(args.json).write_text(json.dumps(costs, indent=2) + '\n')
    return costs


if __name__ == '__main__':
    main()
