"""Pickles and YAML files of data are read as they were written; nothing in one is executed."""

import pickle
from collections import defaultdict

import mmengine
import numpy as np
import pytest
import torch
from malicious_files import POINTERS, shell
from mmengine.dataset import BaseDataset
from mmengine.fileio import dump, load
from mmengine.structures import InstanceData
from mmseg.models.losses.utils import get_class_weight

from mmtoken.errors import UserError

PLAIN = dict(metainfo=dict(classes=('a', 'b')), data_list=[dict(img_path='a.png', gt_label=1)])


@pytest.fixture
def hostile(tmp_path):
    """A pickle that would create a file, and that file."""
    (tmp_path / 'x.pkl').write_bytes(pickle.dumps(shell(tmp_path / 'created')))
    return str(tmp_path / 'x.pkl'), tmp_path / 'created'


@pytest.mark.parametrize(
    'read',
    [
        mmengine.load,
        load,
        lambda file: mmengine.fileio.io.load(file),
        lambda file: load(file, file_format='pickle'),
        get_class_weight,
        lambda file: BaseDataset(ann_file=file),
    ],
    ids=['mmengine', 'fileio', 'io', 'format', 'class_weight', 'annotations'],
)
def test_a_pickle_of_code_is_refused_by_its_name(hostile, read):
    file, created = hostile

    with pytest.raises(UserError, match=r'x.pkl cannot be read as data .*posix.system, refused'):
        read(file)

    assert not created.exists()


@pytest.mark.parametrize('name', POINTERS)
def test_a_pickle_of_chosen_addresses_is_refused(tmp_path, name):
    (tmp_path / 'x.pkl').write_bytes(pickle.dumps(POINTERS[name]))

    with pytest.raises(UserError, match=r'x.pkl cannot be read as data'):
        load(tmp_path / 'x.pkl')


def test_a_yaml_file_of_code_is_refused(tmp_path):
    (tmp_path / 'x.yaml').write_text(
        f'a: !!python/object/apply:os.system ["touch {tmp_path}/created"]'
    )

    with pytest.raises(UserError, match=r'x.yaml cannot be read as data .*os\.system'):
        load(str(tmp_path / 'x.yaml'))

    assert not (tmp_path / 'created').exists()


def test_a_truncated_pickle_is_named(tmp_path):
    (tmp_path / 'x.pkl').write_bytes(pickle.dumps(PLAIN)[:-20])

    with pytest.raises(UserError, match=r'x.pkl cannot be read as data'):
        BaseDataset(ann_file=str(tmp_path / 'x.pkl'))


@pytest.mark.parametrize('protocol', [2, 5])
def test_data_is_read_as_it_was_written(tmp_path, protocol):
    data = dict(
        box=np.arange(6, dtype=np.float32).reshape(2, 3).T,
        flag=np.array([True, False]),
        text=np.str_('é🐈'),
        scores=torch.rand(3),
        known=defaultdict(list, a=[1]),
        ids={1, 2},
        size=slice(1, 3),
        steps=range(2),
    )
    dump(data, tmp_path / 'x.pkl', protocol=protocol)

    found = load(tmp_path / 'x.pkl')

    assert found['box'].tobytes() == data['box'].tobytes()
    assert found['flag'].tolist() == [True, False]
    assert torch.equal(found['scores'], data['scores'])
    assert found['known']['a'] == [1] and found['known']['b'] == []
    assert [found[key] for key in ('text', 'ids', 'size', 'steps')] == [
        data[key] for key in ('text', 'ids', 'size', 'steps')
    ]


def test_proposals_of_mmdet_are_read(tmp_path):
    dump({'a.png': InstanceData(bboxes=np.ones((2, 4)))}, tmp_path / 'x.pkl')

    assert load(tmp_path / 'x.pkl')['a.png'].bboxes.shape == (2, 4)


def test_what_is_empty_is_read(tmp_path):
    empty = InstanceData(bboxes=np.zeros((0, 4), np.float32), scores=np.zeros(0))
    dump({'a.png': empty, 'raw': b'', 'size': torch.Size([2])}, tmp_path / 'x.pkl')

    found = load(tmp_path / 'x.pkl')

    assert found['a.png'].bboxes.shape == (0, 4) and found['a.png'].scores.shape == (0,)
    assert found['raw'] == b'' and found['size'] == torch.Size([2])


def test_annotations_in_a_pickle_or_yaml_file_train(tmp_path):
    for name in ('x.pkl', 'x.yaml'):
        dump(PLAIN, tmp_path / name)

        dataset = BaseDataset(ann_file=str(tmp_path / name))

        assert dataset.get_data_info(0)['gt_label'] == 1
        assert dataset.metainfo['classes'] == ('a', 'b')


def test_numbers_in_the_byte_order_of_other_machines_are_not_taken_for_others(tmp_path):
    dump(np.arange(3, dtype='>i4'), tmp_path / 'x.pkl')

    with pytest.raises(UserError, match='the byte order of other machines'):
        load(tmp_path / 'x.pkl')


def test_text_arrays_are_refused(tmp_path):
    dump(np.array(['a', 'b']), tmp_path / 'x.pkl')

    with pytest.raises(UserError, match=r'x.pkl cannot be read as data'):
        load(tmp_path / 'x.pkl')
