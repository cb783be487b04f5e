"""The libraries' own analysis tools run on our configs, called as their users call them."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from leaf_checkpoints import CONFIGS, write_trained

LEAVES = {
    'mmpretrain': 'life-d6w96_digits-cls',
    'mmdet': 'mask-rcnn_life-d6w96_digits-det',
    'mmseg': 'upernet_life-d6w96_digits-seg',
}


@pytest.fixture(scope='module')
def folder(digit_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a user works, with the data at the place that configs name."""
    root = tmp_path_factory.mktemp('user')
    (root / 'data').mkdir()
    (root / 'data' / 'digit_scenes').symlink_to(digit_scenes)
    return root


@pytest.fixture
def predictions(
    request: pytest.FixtureRequest,
    folder: Path,
    load_tool: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """The file of a library's predictions, in the user's folder."""
    library = request.param
    trained = write_trained(CONFIGS / 'digits' / f'{LEAVES[library]}.py', folder)
    monkeypatch.chdir(folder)
    words = [str(trained.config), str(trained.checkpoint), '--out', f'{library}.pkl']
    if library == 'mmdet':  # Random weights are sure of nothing.
        words += ['--cfg-options', 'model.test_cfg.rcnn.score_thr=0']
    load_tool('test.py').main(words)
    return f'{library}.pkl'


def run(folder: Path, library: str, tool: str, *words: str) -> str:
    """Call an analysis tool of a library on its leaf config; what it prints."""
    package = Path(importlib.import_module(library).__file__).parent
    script = package / '.mim' / 'tools' / 'analysis_tools' / tool
    config = CONFIGS / 'digits' / f'{LEAVES[library]}.py'
    command = [sys.executable, script, config, *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def pictures(folder: Path) -> int:
    """The number of pictures in a folder and those below."""
    return len(list(folder.rglob('*.png')))


@pytest.mark.parametrize('library', ['mmdet', pytest.param('mmseg', marks=pytest.mark.long)])
def test_browse_dataset_paints_every_training_scene(folder: Path, library: str):
    run(folder, library, 'browse_dataset.py', '--output-dir', f'browse_{library}', '--not-show')

    assert pictures(folder / f'browse_{library}') == 8


@pytest.mark.parametrize(
    ('library', 'words', 'parameters'),
    [
        pytest.param('mmdet', ['--num-images', '1'], '3.019M', marks=pytest.mark.long),
        pytest.param('mmseg', ['--shape', '128'], '1.506M'),
        pytest.param('mmpretrain', ['--shape', '64'], '0.715M', marks=pytest.mark.long),
    ],
)
def test_get_flops_counts_our_parameters(
    folder: Path, library: str, words: list[str], parameters: str
):
    printed = run(folder, library, 'get_flops.py', *words)

    assert f'Params: {parameters}' in printed


@pytest.mark.long
@pytest.mark.parametrize('predictions', ['mmdet'], indirect=True)
def test_analyze_results_of_mmdet_paints_the_best_and_the_worst(folder: Path, predictions: str):
    run(folder, 'mmdet', 'analyze_results.py', predictions, 'analyzed', '--topk', '1')

    assert [pictures(folder / 'analyzed' / side) for side in ('good', 'bad')] == [1, 1]


@pytest.mark.long
@pytest.mark.parametrize('predictions', ['mmpretrain'], indirect=True)
def test_analyze_results_of_mmpretrain_paints_every_answer(folder: Path, predictions: str):
    run(folder, 'mmpretrain', 'analyze_results.py', predictions, '--out-dir', 'answers')

    assert pictures(folder / 'answers') == 20


@pytest.mark.long
@pytest.mark.parametrize(
    ('predictions', 'words', 'picture'),
    [
        ('mmpretrain', ['--show-path', 'confusion.png'], 'confusion.png'),
        ('mmdet', ['confusion'], 'confusion/confusion_matrix.png'),
    ],
    indirect=['predictions'],
)
def test_confusion_matrix_is_painted(
    folder: Path, predictions: str, words: list[str], picture: str
):
    library = predictions.removesuffix('.pkl')

    run(folder, library, 'confusion_matrix.py', predictions, *words)

    assert (folder / picture).is_file()
