"""A scoreboard file: what it may say, and what it means where it says nothing.

A scoreboard file is a Python config. All it may say::

    title = 'Scoreboard'
    question = 'What does each method bring?'
    seeds = [0, 1, 2]
    control = 'DeiT'                    # the training steps of all rows are compared with its
    draws = '../studies/scenes/….json'  # the scenes of every seed
    stages = dict(                      # metrics, iterations and options as in a study file
        # What `data` holds changes with the data: cells of other data are run again.
        classification=dict(iterations=1000, metrics=[...], data='data/…/meta.json', options={}),
        probe=dict(metrics=[...]),      # of the frozen backbone, as segmentation starts from it
        detection=dict(config='configs/….py', iterations=300, scenes=100, metrics=[...], data=…),
        segmentation=dict(config='configs/….py', iterations=300, scenes=100, …),
    )
    rows = [
        dict(name='DeiT', config='configs/….py'),
        dict(
            name='DeiT, pooled',
            config='configs/….py',      # of the classifier
            options={...},              # of the classifier; its backbone goes on as it then is
            dense={...},                # of the detector and of the segmentor
            # Where the backbone does not fit those of the stages, as a pyramid does not.
            detection='configs/….py', segmentation='configs/….py',
            against='DeiT',             # what its marks compare it with; the control by default
        ),
    ]
    limits = ['What the figures do not say.']

The format is our design.
"""

from pathlib import Path

from mmengine.config import Config

from mmtoken.errors import UserError
from mmtoken.experiments.study_file import check_names
from mmtoken.experiments.study_runs import Run
from mmtoken.runtime.cli import load_config

CLASSIFICATION, PROBE, DETECTION, SEGMENTATION = STAGES = (
    'classification', 'probe', 'detection', 'segmentation',
)  # fmt: skip
BOARD = (('title', 'question', 'seeds', 'control', 'draws', 'stages', 'rows'), ('limits',))
ROW = (('name', 'config'), ('options', 'dense', 'against', DETECTION, SEGMENTATION))
_DENSE = (('config', 'iterations', 'scenes', 'metrics', 'data'), ('options',))
STAGE = {
    CLASSIFICATION: (('iterations', 'metrics', 'data'), ('options',)),
    PROBE: (('metrics',), ()),
    DETECTION: _DENSE,
    SEGMENTATION: _DENSE,
}


def load_board(path: Path) -> Config:
    """Read a scoreboard file and fill in what it may leave out.

    Args:
        path: The file.

    Returns:
        The board: rows with ``options``, ``dense`` and ``against``, stages with ``options``, and
        ``limits``.

    Raises:
        UserError: If something is missing or contradicts itself.
    """
    board = load_config(str(path))
    own = {name: value for name, value in board.items() if not name.startswith('_')}
    check_names(f'scoreboard {path}', own, *BOARD)
    board.setdefault('limits', [])
    check_names(f'stages of scoreboard {path}', board.stages, STAGES, ())
    for name, stage in board.stages.items():
        check_names(f'the stage {name} of scoreboard {path}', stage, *STAGE[name])
        stage.setdefault('options', {})
    for row in board.rows:
        check_names(f'a row of scoreboard {path}', row, *ROW)
        row.setdefault('options', {})
        row.setdefault('dense', {})
        row.setdefault('against', board.control)
    _check_rows(board, path)
    return board


def _check_rows(board: Config, path: Path) -> None:
    names = [row.name for row in board.rows]
    # Their folders have them with other signs made one.
    if len({Run(name, '', 0).name for name in names}) < len(names):
        raise UserError(
            f'scoreboard {path} has the rows {names}; give each a name that differs from the '
            'others in letters or digits'
        )
    for place, name in [('control', board.control), *((r.name, r.against) for r in board.rows)]:
        if name not in names:
            raise UserError(
                f'{place} of scoreboard {path} names {name!r}, which is no row; '
                f'choose among {", ".join(names)}'
            )
