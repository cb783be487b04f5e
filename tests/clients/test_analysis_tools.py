"""The libraries' own analysis tools run on our configs, called as their users call them."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from types import ModuleType

import mmseg
import pytest
from leaf_checkpoints import CONFIGS, write_trained
from public_layouts import write_ade20k

LEAVES = {
    'mmpretrain': 'life-d6w96_digits-cls',
    'mmdet': 'mask-rcnn_life-d6w96_digits-det',
    'mmseg': 'upernet_life-d6w96_digits-seg',
}
# mmseg 1.2.2's tools that fail on mmseg's own configs too, under the mmengine and OpenCV of today,
# and how they are called.
BROKEN = {
    'browse_dataset.py': ['--output-dir', 'broken', '--not-show'],
    'get_flops.py': ['--shape', '64'],
}
BROKEN = BROKEN if mmseg.__version__ == '1.2.2' else {}
MMSEG_OWN = 'fcn/fcn_r50-d8_4xb4-80k_ade20k-512x512.py'


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
    trained = write_trained(our_config(library), folder)
    monkeypatch.chdir(folder)
    words = [str(trained.config), str(trained.checkpoint), '--out', f'{library}.pkl']
    if library == 'mmdet':  # Random weights are sure of nothing.
        words += ['--cfg-options', 'model.test_cfg.rcnn.score_thr=0']
    load_tool('test.py').main(words)
    return f'{library}.pkl'


def call(folder: Path, library: str, tool: str, config: Path, *words: str) -> CompletedProcess:
    """Call an analysis tool of a library on a config."""
    script = mim_folder(library) / 'tools' / 'analysis_tools' / tool
    command = [sys.executable, script, config, *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def mim_folder(library: str) -> Path:
    """Where an installed library has its tools and configs."""
    return Path(importlib.import_module(library).__file__).parent / '.mim'


def run(folder: Path, library: str, tool: str, *words: str) -> str:
    """What an analysis tool of a library prints about our leaf config."""
    done = call(folder, library, tool, our_config(library), *words)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def our_config(library: str) -> Path:
    """Our leaf config for a library."""
    return CONFIGS / 'digits' / f'{LEAVES[library]}.py'


def unless_broken(tool: str, *values: object) -> list:
    """The parameters of a tool of mmseg: none where it is broken in itself."""
    return [] if tool in BROKEN else [pytest.param('mmseg', *values, marks=pytest.mark.long)]


def pictures(folder: Path) -> int:
    """The number of pictures in a folder and those below."""
    return len(list(folder.rglob('*.png')))


def errors(done: CompletedProcess) -> list[str]:
    """The lines that name an exception."""
    return re.findall(r'^[\w.]*[Ee]rror: .*$', done.stderr, re.MULTILINE)


@pytest.mark.parametrize('library', ['mmdet', *unless_broken('browse_dataset.py')])
def test_browse_dataset_paints_every_training_scene(folder: Path, library: str):
    run(folder, library, 'browse_dataset.py', '--output-dir', f'browse_{library}', '--not-show')

    assert pictures(folder / f'browse_{library}') == 8


@pytest.mark.parametrize(
    ('library', 'words', 'parameters'),
    [
        ('mmpretrain', ['--shape', '64'], '0.715M'),
        pytest.param('mmdet', ['--num-images', '1'], '3.019M', marks=pytest.mark.long),
        *unless_broken('get_flops.py', ['--shape', '128'], '1.506M'),
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


@pytest.mark.long
def test_tools_that_are_left_out_fail_alike_on_a_config_of_mmsegs_own(folder: Path):
    own = mim_folder('mmseg') / 'configs' / MMSEG_OWN
    write_ade20k(folder / 'ade')
    data = ['--cfg-options', 'train_dataloader.dataset.data_root=ade', 'model.pretrained=None']

    for tool, words in BROKEN.items():
        theirs = call(folder, 'mmseg', tool, own, *words, *data)
        ours = call(folder, 'mmseg', tool, our_config('mmseg'), *words)
        assert theirs.returncode == ours.returncode == 1
        assert errors(theirs) == errors(ours)
