"""Where the files of a dataset are looked for: where its class looks."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmpretrain.registry import DATASETS

from mmtoken.config_check.files import check_files
from mmtoken.errors import UserError


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """The user's home folder, with a folder of images and a list of them."""
    (tmp_path / 'images').mkdir()
    (tmp_path / 'list.txt').touch()
    monkeypatch.setenv('HOME', str(tmp_path))
    return tmp_path


def check(scope: str, **dataset: object) -> None:
    """Look for the files of a dataset."""
    content = dict(default_scope=scope, train_dataloader=dict(dataset=dataset))
    check_files(Config(content), ('train_dataloader',))


@pytest.mark.parametrize(
    'paths',
    [
        dict(data_prefix='~/images'),
        dict(data_root='nowhere', data_prefix='~/images'),
        dict(ann_file='~/list.txt', data_prefix='~/images'),
    ],
)
@pytest.mark.parametrize('kind', ['CustomDataset', 'ImageNet'])
def test_mmpretrain_writes_the_home_folder_out(home, kind, paths):
    check('mmpretrain', type=kind, **paths)


@pytest.mark.parametrize(
    ('scope', 'kind', 'paths'),
    [
        ('mmpretrain', 'CustomDataset', dict(data_root='~/images')),
        ('mmpretrain', 'CustomDataset', dict(data_prefix=dict(img_path='~/images'))),
        ('mmdet', 'CocoDataset', dict(data_prefix=dict(img='~/images'))),
        ('mmseg', 'BaseSegDataset', dict(data_root='~/images')),
    ],
)
def test_where_nothing_writes_the_home_folder_out_this_is_said(home, scope, kind, paths):
    with pytest.raises(UserError, match='does not exist; nothing writes ~ out there'):
        check(scope, type=kind, **paths)


def test_a_root_that_no_path_is_relative_to_need_not_exist(home):
    paths = dict(ann_file=str(home / 'list.txt'), data_prefix=dict(img=str(home / 'images')))

    check('mmdet', type='CocoDataset', data_root='nowhere', **paths)


@pytest.mark.parametrize('path', ['s3://bucket/images', 'petrel:s3/images', 'lmdb:images'])
def test_what_is_on_no_disk_is_left_to_the_library(path):
    check('mmpretrain', type='CustomDataset', data_prefix=path)


@pytest.mark.parametrize('format_only', [True, False])
def test_labels_may_be_missing_where_nothing_is_scored(home, capsys, format_only):
    prefixes = dict(img_path=str(home / 'images'), seg_map_path=str(home / 'labels'))
    dataset = dict(type='BaseSegDataset', data_prefix=prefixes)
    metric = dict(type='IoUMetric', format_only=format_only)
    cfg = Config(
        dict(default_scope='mmseg', test_dataloader=dict(dataset=dataset), test_evaluator=metric)
    )
    missing = 'test_dataloader.dataset.data_prefix.seg_map_path'

    if format_only:
        check_files(cfg, ('test_dataloader',))
        assert missing in capsys.readouterr().err
    else:
        with pytest.raises(UserError, match=missing):
            check_files(cfg, ('test_dataloader',))


def test_a_class_of_its_own_may_look_elsewhere(capsys):
    @DATASETS.register_module()
    class ReadsElsewhere:
        def __init__(self, data_root: str) -> None:
            pass

    try:
        check('mmpretrain', type='ReadsElsewhere', data_root='nowhere')
    finally:
        del DATASETS.module_dict['ReadsElsewhere']

    assert "data_root 'nowhere' does not exist" in capsys.readouterr().err


@pytest.fixture
def resumed(tmp_path) -> Config:
    """Of a run that is resumed by its record, whose pre-trained weights are gone."""
    (tmp_path / 'last_checkpoint').write_text('../elsewhere/epoch_1.pth')
    backbone = dict(init_cfg=dict(type='Pretrained', checkpoint='gone.pth'))
    model = dict(type='ImageClassifier', backbone=backbone)
    return Config(
        dict(default_scope='mmpretrain', model=model, resume=True, work_dir=str(tmp_path))
    )


def test_a_run_that_is_resumed_by_its_record_needs_no_pretrained_weights(resumed):
    check_files(resumed, ('train_dataloader',))


@pytest.mark.parametrize(
    'change', [dict(resume=False), dict(work_dir='nowhere'), dict(runner_type='FlexibleRunner')]
)
def test_one_that_initializes_its_weights_needs_them(resumed, change):
    resumed.merge_from_dict(change)

    with pytest.raises(UserError, match=r"init_cfg.checkpoint 'gone.pth' does not exist"):
        check_files(resumed, ('train_dataloader',))
