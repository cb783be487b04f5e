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

from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config

from mmtoken.errors import UserError
from mmtoken.experiments.file_entries import LIST, check_entry, check_file
from mmtoken.runtime.cli import load_config
from mmtoken.tasks.task import folders_differ

CLASSIFICATION, PROBE, DETECTION, SEGMENTATION = STAGES = (
    'classification', 'probe', 'detection', 'segmentation',
)  # fmt: skip
BOARD = (
    dict(title=str, question=str, seeds=LIST, control=str, draws=str, stages=Mapping, rows=LIST),
    dict(limits=LIST),
)
ROW = (
    dict(name=str, config=str),
    dict(options=Mapping, dense=Mapping, against=str, detection=str, segmentation=str),
)
_DENSE = (
    dict(config=str, iterations=int, scenes=int, metrics=LIST, data=str),
    dict(options=Mapping),
)
STAGE = {
    CLASSIFICATION: (dict(iterations=int, metrics=LIST, data=str), dict(options=Mapping)),
    PROBE: (dict(metrics=LIST), {}),
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
    check_file(f'scoreboard {path}', board, BOARD)
    board.setdefault('limits', [])
    check_entry(f'stages of scoreboard {path}', board.stages, (dict.fromkeys(STAGES, Mapping), {}))
    for name, stage in board.stages.items():
        check_entry(f'the stage {name} of scoreboard {path}', stage, STAGE[name])
        stage.setdefault('options', {})
    for row in board.rows:
        check_entry(f'a row of scoreboard {path}', row, ROW)
        row.setdefault('options', {})
        row.setdefault('dense', {})
        row.setdefault('against', board.control)
    _check_rows(board, path)
    return board


def _check_rows(board: Config, path: Path) -> None:
    names = [row.name for row in board.rows]
    if not folders_differ(names):
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
