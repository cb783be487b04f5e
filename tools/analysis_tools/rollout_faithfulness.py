"""Hold roll-outs against the truth: how much of a class map falls on that class.

For every class that is in a validation image and that the model predicts there: the share of the
map's mass in the class's true mask, for the dense roll-out, the ordinary one and chance::

    python tools/analysis_tools/rollout_faithfulness.py CONFIG CHECKPOINT --name 'Mask R-CNN'

writes <name>.json to the folder, and table and plot of all such files there.
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from mmtoken.config_check.files import check_files
from mmtoken.errors import UserError, exit_on_user_error
from mmtoken.rollout.faithfulness import measure_dataset
from mmtoken.rollout.faithfulness_report import markdown, plot, summarize
from mmtoken.runtime.cli import (
    add_config_arguments,
    add_trust_argument,
    load_checked_config,
    trust_named,
)
from mmtoken.runtime.failures import explain_failures
from mmtoken.tasks.task import write_json
from mmtoken.tasks.tool_steps import environment

OUT = Path('docs', 'study', 'rollout_faithfulness')


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    add_trust_argument(parser)
    parser.add_argument('--name', required=True, help='of the model, in table and plot')
    parser.add_argument(
        '--number', type=int, default=200, help='validation images (default: %(default)s)'
    )
    parser.add_argument(
        '--out', type=Path, default=OUT, help='folder of the results (default: %(default)s)'
    )
    return parser.parse_args(argv)


@exit_on_user_error
def main(argv: Sequence[str] | None = None) -> None:
    """Measure from the command line.

    Args:
        argv: The arguments; ``sys.argv`` by default.
    """
    args = parse_args(argv)
    if args.number < 2:
        raise UserError(f'--number {args.number} is no mean with an interval; give 2 or more')
    cfg = load_checked_config(
        args, needs=('model', 'val_dataloader', 'test_dataloader', 'default_scope')
    )
    check_files(cfg, ['val_dataloader'], mode=args.check)
    trust_named(args, args.checkpoint)
    with explain_failures(cfg):
        report = summarize(args.name, measure_dataset(cfg, args.checkpoint, args.number))
    words = list(argv) if argv is not None else sys.argv[1:]
    report |= dict(
        command=['python', 'tools/analysis_tools/rollout_faithfulness.py', *words],
        environment=environment(),
    )
    args.out.mkdir(parents=True, exist_ok=True)
    slug = re.sub(r'[^a-z0-9]+', '-', args.name.lower()).strip('-')
    write_json(args.out / f'{slug}.json', report)
    reports = [json.loads(path.read_text()) for path in sorted(args.out.glob('*.json'))]
    (args.out / 'README.md').write_text(markdown(reports))
    plot(reports, args.out / 'faithfulness.png')
    print(args.out / 'README.md')


if __name__ == '__main__':
    main()
