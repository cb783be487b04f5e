r"""Search which layers of a PSViT share their attention maps, and where its tokens are pooled.

A search is a config (see ``projects/mmtoken/psvit/search/search_file.py``)::

    python tools/search.py tools/searches/digits.py --workers 2
    python tools/search.py tools/searches/digits.py --workers 2 --exhaustive

A supernet is trained once, one schedule a step. Evolution, or with ``--exhaustive`` everything
within the budget, measures schedules by it on held-out images of the training set; the best are
trained from nothing, and some that chance drew beside them. The best of those is written as a leaf
config for ``tools/train.py``. The same command goes on after an interruption. One search runs in a
folder at a time.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmtoken.config_check.mode import hand_on
from mmtoken.config_check.outputs import check_report
from mmtoken.errors import UserError, exit_on_user_error
from mmtoken.experiments.study_tasks import Place
from mmtoken.psvit.search import build_space
from mmtoken.psvit.search.checks import occupy
from mmtoken.psvit.search.configs import write_leaf
from mmtoken.psvit.search.report import write_search_report
from mmtoken.psvit.search.runs import run_search
from mmtoken.psvit.search.search_file import load_search
from mmtoken.runtime.cli import add_check_argument

TOOLS = Path(__file__).resolve().parent


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('search', type=Path, help='search file')
    parser.add_argument(
        '--workers', type=int, default=1, help='processes side by side; they share the CPU cores'
    )
    parser.add_argument(
        '--processes', type=int, default=1,
        help='processes, or GPUs, that train the supernet together, each with a batch of its own',
    )  # fmt: skip
    parser.add_argument(
        '--exhaustive', action='store_true', help='measure every schedule within the budget'
    )
    parser.add_argument(
        '--out', type=Path, help='folder of the report; docs/search/NAME by default'
    )
    parser.add_argument(
        '--work-dir', type=Path, help="the runs' folder; work_dirs/search/NAME by default"
    )
    add_check_argument(parser)
    args = parser.parse_args(argv)
    args.out = args.out or Path('docs/search') / args.search.stem
    args.work_dir = args.work_dir or Path('work_dirs/search') / args.search.stem
    return args


@exit_on_user_error
def main(argv: Sequence[str] | None = None) -> None:
    """Search from the command line.

    Args:
        argv: The arguments; ``sys.argv`` by default.
    """
    args = parse_args(argv)
    hand_on(args.check)
    check_report(args.out)
    search = load_search(args.search)
    place = Place(args.work_dir, TOOLS, args.work_dir / 'none.json', args.workers)
    if min(args.workers, args.processes) < 1:
        raise UserError(
            f'--workers {args.workers} --processes {args.processes} runs nothing; use 1 or more'
        )
    try:
        with occupy(args.work_dir):
            found = run_search(search, args.search, place, args.exhaustive, args.processes)
    except KeyboardInterrupt:
        print('\nstopped; the same command goes on from here', file=sys.stderr)
        raise SystemExit(130) from None
    words = ['python', 'tools/search.py', args.search, '--workers', args.workers]
    words += ['--processes', args.processes] if args.processes > 1 else []
    found['command'] = ' '.join(map(str, [*words, *['--exhaustive'] * args.exhaustive]))
    write_search_report(found, args.out)
    leaf = args.out / f'{args.search.stem}_found.py'
    space = build_space(search.space)
    write_leaf(search, space, space.read(found['found']), leaf, found['command'])
    print((args.out / 'README.md').read_text())
    print(f'the schedule that was found is in {leaf}')


if __name__ == '__main__':
    main()
