"""A config anywhere inherits from ours, and a list of models that changes stops nobody."""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from mmengine.config import Config
from mmpretrain.apis import ModelHub

from mmtoken import config_path
from mmtoken.errors import UserError
from mmtoken.runtime import own_configs
from mmtoken.runtime.cli import load_config
from mmtoken.runtime.stack import require_stack

LEAF = 'life/mask-rcnn_life-deit-tiny_sfp_1x_coco.py'


@pytest.fixture
def mine(tmp_path: Path):
    """A function that writes a config outside of the repository, over the base it is given."""

    def write(base: str) -> Path:
        path = tmp_path / 'mine.py'
        path.write_text(f'_base_ = {base}\nmodel = dict(test_cfg=dict(rcnn=dict(max_per_img=7)))\n')
        return path

    return write


@pytest.mark.parametrize('leaf', sorted((own_configs.ROOTS[0] / 'configs').rglob('*.py')))
def test_every_config_is_found_by_its_name(leaf: Path):
    name = leaf.relative_to(own_configs.ROOTS[0] / 'configs').as_posix()

    assert config_path(name) == str(leaf)


def test_config_elsewhere_inherits_and_changes(mine):
    path = mine(f"__import__('mmtoken').config_path('{LEAF}')")

    config = Config.fromfile(path)

    assert config.model.backbone.type == 'mmpretrain.LIFEViT'
    assert config.model.test_cfg.rcnn.max_per_img == 7


def test_config_elsewhere_is_read_by_a_program_that_does_not_import_mmtoken(mine, tmp_path: Path):
    path = mine(f"__import__('mmtoken').config_path('{LEAF}')")
    code = (
        'import json, sys\n'
        'from mmdet.apis import init_detector\n'
        "model = init_detector(sys.argv[1], device='cpu')\n"
        'print(json.dumps([type(model.backbone).__name__, model.cfg.default_scope]))\n'
    )

    command = [sys.executable, '-c', code, path]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    assert json.loads(done.stdout.splitlines()[-1]) == ['LIFEViT', 'mmdet']


@pytest.mark.parametrize(
    ('name', 'hint'),
    [
        ('life/deit-tiny_8xb64_in1k.py', "did you mean 'deit/deit-tiny_8xb64_in1k.py'"),
        ('life/lief-deit-tiny_8xb64_in1k.py', "did you mean 'life/life-deit-tiny_8xb64_in1k.py'"),
        ('nonsense', 'see those in'),
    ],
)
def test_config_that_is_not_ours_is_refused_with_what_may_be_meant(name: str, hint: str):
    with pytest.raises(UserError, match=hint):
        config_path(name)


def test_tools_say_which_config_of_ours_is_not_there(mine):
    path = mine("__import__('mmtoken').config_path('life/none.py')")

    with pytest.raises(UserError, match="^config_path 'life/none.py' is no config of mmtoken"):
        load_config(str(path))


def test_tools_say_what_to_write_in_place_of_two_colons(mine):
    path = mine(f"'mmtoken::{LEAF}'")

    with pytest.raises(UserError, match=r"write _base_ = __import__\('mmtoken'\).config_path"):
        load_config(str(path))


FCN = 'fcn/fcn_r50-d8_4xb2-40k_cityscapes-512x1024.py'


def test_the_way_to_mmsegs_configs_that_is_advised_is_one(mine):
    path = mine(f"__import__('mmseg').__path__[0] + '/.mim/configs/{FCN}'")

    assert load_config(str(path)).model.type == 'EncoderDecoder'


@pytest.mark.skipif(require_stack() != 'onedl', reason="OpenMMLab's mmengine knows 'mmseg::'")
def test_tools_say_what_to_write_in_place_of_mmseg_and_two_colons(mine):
    path = mine(f"'mmseg::{FCN}'")

    with pytest.raises(UserError, match=r"write _base_ = __import__\('mmseg'\).__path__\[0\]"):
        load_config(str(path))


def test_package_without_configs_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(own_configs, 'ROOTS', (tmp_path,))

    with pytest.raises(UserError, match='no configs beside it'):
        config_path(LEAF)


def test_package_without_configs_has_no_models_to_list(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(own_configs, 'ROOTS', (tmp_path,))
    monkeypatch.setattr(ModelHub, '_models_dict', {})

    with warnings.catch_warnings():
        warnings.simplefilter('error')
        own_configs.register_models()

    assert not ModelHub.has('life-deit-tiny_8xb64_in1k')


def test_list_of_models_that_takes_no_index_only_warns(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(ModelHub, 'register_model_index')

    with pytest.warns(UserWarning, match='not in the list of mmpretrain.*give get_model the path'):
        own_configs.register_models()
