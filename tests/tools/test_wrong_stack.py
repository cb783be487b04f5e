"""What a tool answers on a wrong installation: a sentence that names check_env.py, exit code 2."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmtoken.runtime.stack import LIBRARIES, STACKS

REPO = Path(__file__).parents[2]
TOOLS = ['train', 'test', 'analysis_tools/get_flops', 'analysis_tools/study']
TOOLS += ['analysis_tools/benchmark', 'misc/demo', 'misc/print_config']
TOOLS += ['visualization/browse_dataset', 'dataset_converters/digit_scenes']
TOOLS += ['dataset_converters/glyph_scenes']


def answer(tool: str, packages: Path, *arguments: str) -> str:
    """The one line with which a tool ends where these packages hide the installed ones."""
    # This checkout's package, whichever is installed.
    path = os.pathsep.join([str(packages), str(REPO / 'projects')])
    env = {**os.environ, 'PYTHONPATH': path}
    command = [sys.executable, f'tools/{tool}.py', *arguments]
    done = subprocess.run(command, cwd=REPO, env=env, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert 'Traceback' not in done.stderr
    sentence = done.stderr.splitlines()[-1]
    assert sentence.startswith('error: ')
    assert 'tools/misc/check_env.py' in sentence
    return sentence


@pytest.mark.parametrize('tool', TOOLS)
def test_two_stacks_at_once(tmp_path, tool):
    for stack in STACKS:
        name, oldest = LIBRARIES[0].distributions[stack], LIBRARIES[0].minimum[stack]
        folder = tmp_path / f'{name.replace("-", "_")}-{oldest}.dist-info'
        folder.mkdir()
        (folder / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: {oldest}')

    assert 'both stacks are installed' in answer(tool, tmp_path)


@pytest.mark.parametrize('library', ['mmengine', 'mmpretrain'])
def test_a_needed_library_that_cannot_be_imported(tmp_path, library):
    (tmp_path / f'{library}.py').write_text('raise AssertionError("made for another mmcv")')

    sentence = answer('train', tmp_path)

    assert f'{library!r} cannot be imported (made for another mmcv)' in sentence


def test_a_detector_without_its_library(tmp_path):
    (tmp_path / 'mmdet.py').write_text('raise ImportError("no COCO here")')

    sentence = answer('train', tmp_path, 'configs/life/mask-rcnn_life-deit-tiny_sfp_1x_coco.py')

    assert "'mmdet' cannot be imported (no COCO here)" in sentence
