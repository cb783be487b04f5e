r"""Fill the scoreboard, methods and combinations x what they reach and cost, and write it.

A scoreboard is a config (see ``tools/analysis_tools/scoreboards``)::

    python tools/analysis_tools/scoreboard.py --workers 2
    python tools/analysis_tools/scoreboard.py --speed

For each row and seed it trains a classifier, probes its frozen patch tokens, and fine-tunes a
detector and a segmentor from it. ``--speed`` trains nothing; it times the training steps and
predictions of all rows side by side, and wants a machine that does nothing else.

Finished cells are kept in ``docs/scoreboard.json``: the same command goes on after an interruption,
on this machine or on another, and repeats the cells alone whose config has changed::

    python tools/analysis_tools/scoreboard.py --rows 'LIFE pooled' --seeds 3 4
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from mmtoken.config_check.mode import hand_on
from mmtoken.errors import UserError, exit_on_user_error, near_miss
from mmtoken.experiments.scoreboard_costs import time_classifiers
from mmtoken.experiments.scoreboard_file import load_board
from mmtoken.experiments.scoreboard_plot import plot
from mmtoken.experiments.scoreboard_report import markdown
from mmtoken.experiments.scoreboard_results import make_results
from mmtoken.experiments.scoreboard_stages import make_studies
from mmtoken.experiments.scoreboard_tasks import committed_cells, finish_cells
from mmtoken.experiments.study_tasks import Place
from mmtoken.runtime.cli import add_check_argument
from mmtoken.tasks.task import write_json

TOOLS = Path(__file__).resolve().parents[1]
BOARD = Path('tools/analysis_tools/scoreboards/glyphs.py')


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'board', type=Path, nargs='?', default=BOARD, help='scoreboard file (%(default)s)'
    )
    parser.add_argument('--rows', nargs='+', metavar='NAME', help='run only these rows')
    parser.add_argument('--seeds', type=int, nargs='+', help="run only these; the board's own")
    parser.add_argument(
        '--workers', type=int, default=1, help='runs side by side; they share the CPU cores'
    )
    parser.add_argument(
        '--out', type=Path, metavar='PREFIX',
        help='write PREFIX.md, PREFIX.png and PREFIX.json (docs/scoreboard)',
    )  # fmt: skip
    parser.add_argument(
        '--work-dir', type=Path, help="the runs' folder; work_dirs/scoreboard/NAME by default"
    )
    parser.add_argument(
        '--report-only', action='store_true', help='run nothing; report the finished cells'
    )
    parser.add_argument(
        '--speed', action='store_true', help='train nothing; time all rows side by side'
    )
    parser.add_argument(
        '--rounds', type=int, default=30, help='rounds of --speed (default: %(default)s)'
    )
    add_check_argument(parser)
    args = parser.parse_args(argv)
    # Another board must not take the place of ours.
    name = 'scoreboard' if args.board == BOARD else f'scoreboard_{args.board.stem}'
    args.out = args.out or Path('docs') / name
    args.work_dir = args.work_dir or Path('work_dirs/scoreboard') / args.board.stem
    return args


def command_line(args: argparse.Namespace, seeds: Sequence[int]) -> str:
    """The command line that fills a whole board.

    Args:
        args: The command line that filled it, or a part.
        seeds: Of all cells.

    Returns:
        The text.
    """
    words = ['python', 'tools/analysis_tools/scoreboard.py']
    words += [args.board] * (args.board != BOARD)
    return ' '.join(map(str, [*words, '--seeds', *seeds, '--workers', args.workers]))


@exit_on_user_error
def main(argv: Sequence[str] | None = None) -> None:
    """Fill a scoreboard from the command line.

    Args:
        argv: The arguments; ``sys.argv`` by default.
    """
    args = parse_args(argv)
    hand_on(args.check)
    if args.rounds < 1:
        raise UserError(f'--rounds {args.rounds} times nothing; use 1 or more')
    board = load_board(args.board)
    rows = [row.name for row in board.rows]
    for name in args.rows or ():
        if name not in rows:
            raise UserError(
                f'--rows {name!r} is no row of {args.board}'
                f'{near_miss(name, rows) or "; choose among " + ", ".join(map(repr, rows))}'
            )
    studies = make_studies(board, args.board)
    results = args.out.with_suffix('.json')
    earlier = json.loads(results.read_text()) if results.exists() else {}
    asked = args.seeds or board.seeds
    seeds = sorted({cell['seed'] for cell in committed_cells(results)}.union(asked))
    wanted = {(row, seed) for row in args.rows or rows for seed in asked}
    if args.report_only or args.speed:
        wanted = set()
    place = Place(args.work_dir, TOOLS, results, args.workers)
    cells = finish_cells(board, studies, seeds, wanted, place)
    speed = earlier.get('speed')
    if args.speed:
        speed = time_classifiers(studies, board.control, args.rounds)
    if not cells and not speed:
        raise UserError(
            f'no cell of {args.board} is finished in {args.work_dir} or {results}; '
            'run it without --report-only first'
        )
    # What ran nothing did not make the cells.
    command = earlier.get('command') if not wanted else None
    found = make_results(board, studies, cells, speed, command or command_line(args, seeds))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    write_json(results, found)
    picture = args.out.with_suffix('.png')
    plot(found, picture)
    text = markdown(found, picture.name)
    args.out.with_suffix('.md').write_text(text)
    print(text)


if __name__ == '__main__':
    main()
