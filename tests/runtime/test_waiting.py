"""OpenMP's threads wait passively, unless the user has said how they wait."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmtoken.runtime.waiting import VARIABLES, wait_passively

REPO = Path(__file__).parents[2]
MODULE = REPO / 'projects' / 'mmtoken' / 'runtime' / 'waiting.py'
LOAD = 'import runpy, sys; runpy.run_path(sys.argv[1])["wait_passively"](); import torch'


# Turns of a loop before a thread that waits gives its core away. The library calls its default
# passive, too, which turns 300,000 times.
@pytest.mark.parametrize(('asked', 'turns'), [(None, '0'), ('active', '30000000000')])
def test_the_openmp_library_that_torch_loads_does_so(asked, turns):
    env = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    env |= {'OMP_DISPLAY_ENV': 'verbose'} | ({'OMP_WAIT_POLICY': asked} if asked else {})

    words = [sys.executable, '-c', LOAD, str(MODULE)]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=True)

    assert f"GOMP_SPINCOUNT = '{turns}'" in done.stderr


@pytest.mark.parametrize('name', VARIABLES)
def test_what_the_user_says_is_left(name):
    environment = {name: '7'}

    wait_passively(environment)

    assert environment == {name: '7'}


def test_a_tool_sets_it_before_the_library_is_loaded():
    env = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    env |= {'OMP_DISPLAY_ENV': 'verbose'}

    words = [sys.executable, str(REPO / 'tools' / 'train.py'), '--help']
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=True)

    assert "GOMP_SPINCOUNT = '0'" in done.stderr
