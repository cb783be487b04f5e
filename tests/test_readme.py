"""What the README shows works: its configs pass the check, its paths are there."""

import re
from pathlib import Path

import pytest
from mmengine.config import Config

from mmtoken.config_check.check import check_config

ROOT = Path(__file__).parents[1]
README = (ROOT / 'README.md').read_text()
CONFIGS = re.findall(r'```python\n(_base_ = .*?)```', README, re.DOTALL)

PATHS = re.findall(r'(?:tools|configs|docs)/[\w./*-]*\.\w+', README)


def test_there_is_one_config_for_coco_and_one_for_ade():
    assert [('coco' in c, 'ade20k' in c) for c in CONFIGS] == [(True, False), (False, True)]


@pytest.mark.parametrize('config', CONFIGS, ids=['coco', 'ade'])
def test_a_config_of_the_readme_passes_the_check(config, tmp_path):
    file = tmp_path / 'mine.py'
    file.write_text(config.replace("_base_ = '", f"_base_ = '{ROOT}/"))

    check_config(Config.fromfile(file))


@pytest.mark.parametrize(
    'path', sorted(set(re.findall(r'(?:tools|configs|docs)/[\w./*-]*\.\w+', README)))
)
def test_a_path_of_the_readme_is_there(path):
    assert list(ROOT.glob(path))
