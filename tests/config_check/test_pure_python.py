"""Configs that inherit with ``read_base`` and name classes: read right, and their slips seen."""

from pathlib import Path

import pytest

from mmtoken.config_check.check import find_problems
from mmtoken.config_check.files import check_files
from mmtoken.config_check.sources import source_files
from mmtoken.errors import UserError
from mmtoken.runtime.cli import load_config

BASE = """
from mmengine.dataset import DefaultSampler
from mmpretrain.datasets import CustomDataset, LoadImageFromFile, PackInputs

data_root = 'a/'
pipeline = [dict(type=LoadImageFromFile), dict(type=PackInputs)]
train_dataloader = dict(
    batch_size=4,
    sampler=dict(type=DefaultSampler, shuffle=True),
    dataset=dict(type=CustomDataset, data_root=data_root, pipeline=pipeline),
)
"""
CHILD = """
from mmengine.config import read_base

with read_base():
    from .base import *

import mmpretrain.models as models
from mmengine.optim import OptimWrapper
from mmengine.runner import EpochBasedTrainLoop
from mmpretrain.models import LinearClsHead
from torch.optim import AdamW

from mmtoken.vit import TokenViT

default_scope = 'mmpretrain'
model = dict(
    type=models.ImageClassifier,
    backbone=dict(type=TokenViT, arch='deit-tiny', norm_cfg=dict(type='LN', eps=1e-6)),
    head=dict(type=LinearClsHead, num_classes=10, in_channels=192),
)
optim_wrapper = dict(type=OptimWrapper, optimizer=dict(type=AdamW, lr=1e-3))
train_cfg = dict(type=EpochBasedTrainLoop, max_epochs=1)
"""


@pytest.fixture
def write(tmp_path):
    """A function that writes the base, and a child with some text replaced; the child's path."""

    def write_child(old: str = '', new: str = '') -> str:
        (tmp_path / 'base.py').write_text(BASE)
        (tmp_path / 'child.py').write_text(CHILD.replace(old, new) if old else CHILD + new)
        return str(tmp_path / 'child.py')

    return write_child


def texts(path: str) -> list[str]:
    return [problem.text for problem in find_problems(load_config(path))]


def test_a_right_config_has_no_problem(write):
    assert texts(write()) == []


def test_its_dump_has_no_problem(write, tmp_path):
    load_config(write()).dump(tmp_path / 'dump.py')

    assert texts(str(tmp_path / 'dump.py')) == []


@pytest.mark.parametrize(
    ('old', 'new', 'place', 'meant'),
    [
        ('in_channels=', 'in_channel=', 'model.head', 'in_channels'),
        ('lr=1e-3', 'lrs=1e-3', 'optim_wrapper.optimizer', 'lr'),
        ('max_epochs', 'max_epoch', 'train_cfg', 'max_epochs'),
        ("arch='deit-tiny'", "archs='deit-tiny'", 'model.backbone', 'arch'),
        ('LinearClsHead', 'LinearClssHead', 'model.head.type', 'mmpretrain.models.LinearClsHead'),
    ],
)
def test_a_slip_is_seen(write, old, new, place, meant):
    (text,) = texts(write(old, new))

    assert text.startswith(f'{place} ')
    assert f'did you mean {meant!r}' in text


def test_a_variable_that_no_file_reads_is_found(write):
    assert texts(write(new='author = "me"\n')) == [
        "nothing reads the top-level key 'author'; remove it, or use it in the config"
    ]


def test_a_variable_that_the_imported_base_has_used_up_is_found(write):
    (text,) = texts(write(new='data_root = "b/"\n'))

    assert text.startswith("data_root = 'b/' changes nothing")
    assert text.endswith('train_dataloader.dataset.data_root; set that')


def test_bases_are_read_before_what_imports_them(write):
    path = write()

    files = source_files(load_config(path))

    assert [Path(file).name for file, _ in files] == ['base.py', 'child.py']
    assert files[0][1] == BASE


def test_a_base_of_a_package_is_found_by_its_import_path(write, tmp_path, monkeypatch):
    package = tmp_path / 'own_configs'
    package.mkdir()
    (package / '__init__.py').touch()
    (package / 'base.py').write_text(BASE)
    monkeypatch.syspath_prepend(str(tmp_path))
    path = write('from .base', 'from own_configs.base')

    files = source_files(load_config(path))

    assert Path(files[0][0]) == package / 'base.py'


def test_the_files_of_a_dataset_that_is_named_by_its_class_are_looked_for(write):
    with pytest.raises(UserError, match=r"train_dataloader.dataset.data_root 'a/' does not exist"):
        check_files(load_config(write()), loaders=('train_dataloader',))
