"""mmtoken can be imported beside a transformers that mmpretrain cannot import."""

import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from mmpretrain.utils import dependency

from mmtoken.runtime.newer_transformers import leave_out_multimodal


@pytest.mark.parametrize(
    ('stack', 'version', 'expected'),
    [
        ('onedl', '4.57.6', True),
        ('onedl', '5.0.0rc1', False),
        ('openmmlab', '4.49.0', True),
        ('openmmlab', '4.50.0', False),
        ('openmmlab', None, True),
    ],
)
def test_multimodal_models_stay_where_they_can_be_imported(stack, version, expected, monkeypatch):
    monkeypatch.setattr(dependency, 'WITH_MULTIMODAL', True)

    def version_of(name: str) -> str:
        if version is None or name != 'transformers':
            raise PackageNotFoundError(name)
        return version

    leave_out_multimodal(stack, version_of)

    assert dependency.WITH_MULTIMODAL is expected


@pytest.mark.long
def test_mmtoken_is_imported_beside_a_newer_transformers(tmp_path):
    info = tmp_path / 'transformers-5.24.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: transformers\nVersion: 5.24.0\n')
    (tmp_path / 'transformers').mkdir()
    # It has nothing of what mmpretrain looks for.
    (tmp_path / 'transformers' / '__init__.py').touch()
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2] / 'projects')])

    done = subprocess.run(
        [sys.executable, '-c', 'import mmtoken'],
        env={**os.environ, 'PYTHONPATH': path},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
