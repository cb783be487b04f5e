"""A store of label maps is whole, of what it says, and goes on where it stopped."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

from mmtoken.datasets import LabelStore, LabelStoreWriter
from mmtoken.datasets.label_store import Manifest, read_manifest
from mmtoken.errors import UserError

NAMES = ['a/1.png', 'a/10.png', 'a/2.png', 'b/é.png']
MANIFEST = Manifest(
    kind='logit', classes=7, grid=(2, 3), top_k=2, source=dict(weights='w'), images='digest',
    count=4, command='make it',
)  # fmt: skip


def maps(index):
    values = np.arange(12).reshape(2, 2, 3) + 100 * index
    return values.astype(np.float16), (values % 7).astype(np.int16)


def write(folder, indices):
    writer = LabelStoreWriter(folder, MANIFEST, NAMES)
    for index in indices:
        values, ids = maps(index)
        writer.write([index], values[None], ids[None])
    return writer


def test_maps_are_read_as_they_were_written(tmp_path):
    write(tmp_path, range(4))

    store = pickle.loads(pickle.dumps(LabelStore(tmp_path)))

    for index, name in enumerate(NAMES):
        values, ids = store.read(store.find(name))
        expected = maps(index)
        assert np.array_equal(values, expected[0]) and np.array_equal(ids, expected[1])
        assert (values.dtype, ids.dtype) == (np.float16, np.int16)


def test_an_interrupted_store_goes_on(tmp_path):
    write(tmp_path, [1, 3])

    writer = write(tmp_path, [])

    assert writer.left().tolist() == [0, 2]


def test_an_unfinished_store_is_refused(tmp_path):
    write(tmp_path, [1, 3])

    with pytest.raises(UserError, match='lack 2 of 4 images; the same command goes on: make it'):
        LabelStore(tmp_path)


def test_a_folder_without_maps_is_refused(tmp_path):
    with pytest.raises(UserError, match=r'no manifest.json.*make_token_labels.py … --out'):
        LabelStore(tmp_path)


@pytest.mark.parametrize('name', ['names', 'values', 'ids', 'done'])
@pytest.mark.parametrize('damage', ['missing', 'truncated', 'foreign'])
@pytest.mark.parametrize('use', [LabelStore, lambda folder: write(folder, [])])
def test_a_damaged_file_is_named_to_who_reads_and_to_who_goes_on(tmp_path, name, damage, use):
    write(tmp_path, range(4))
    file = tmp_path / f'{name}.npy'
    if damage == 'missing':
        file.unlink()
    elif damage == 'truncated':
        file.write_bytes(file.read_bytes()[:-1])
    else:
        np.save(file, np.zeros((4, 1)))

    with pytest.raises(UserError, match=rf'{name}\.npy .*make the label maps anew: make it'):
        use(tmp_path)


@pytest.mark.parametrize(
    'content', ['{', '[]', json.dumps(dict(grid=[1, 2])), json.dumps(dict(kind='logit'))]
)
def test_a_manifest_of_something_else_is_named(tmp_path, content):
    (tmp_path / 'manifest.json').write_text(content)

    with pytest.raises(UserError, match='is not the manifest of label maps'):
        LabelStore(tmp_path)


def test_another_version_is_refused(tmp_path):
    write(tmp_path, range(4))
    file = tmp_path / 'manifest.json'
    file.write_text(json.dumps({**json.loads(file.read_text()), 'version': 0}))

    with pytest.raises(UserError, match='is of version 0'):
        LabelStore(tmp_path)


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('classes', 8), ('grid', (3, 2)), ('top_k', 1), ('source', dict(weights='v')),
        ('images', 'other'), ('count', 5), ('kind', 'share'),
    ],
)  # fmt: skip
def test_maps_of_something_else_are_not_overwritten(tmp_path, key, value):
    write(tmp_path, [0])

    with pytest.raises(UserError, match=f'label maps of another {key}.*--overwrite'):
        LabelStoreWriter(tmp_path, replace(MANIFEST, **{key: value}), NAMES)


def test_an_image_without_a_map_is_named(tmp_path):
    write(tmp_path, range(4))

    with pytest.raises(UserError, match=r"no label map of 'a/3.png', but of 4 others such as 'a/1"):
        LabelStore(tmp_path).find('a/3.png')


def test_all_images_without_a_map_are_found(tmp_path):
    write(tmp_path, range(4))

    missing = LabelStore(tmp_path).missing(['z.png', 'a/2.png', 'a', 'a/1.png', 'a/10.png.png'])

    assert missing == ['z.png', 'a', 'a/10.png.png']


def test_overwriting_removes_maps_and_nothing_else(tmp_path):
    write(tmp_path, range(4))
    (tmp_path / 'mine.txt').write_text('kept')
    other = replace(MANIFEST, images='other')

    writer = LabelStoreWriter(tmp_path, other, NAMES, overwrite=True)

    assert writer.left().tolist() == [0, 1, 2, 3]
    assert read_manifest(tmp_path) == other
    assert (tmp_path / 'mine.txt').read_text() == 'kept'


def test_the_manifest_of_something_else_is_not_overwritten(tmp_path):
    file = tmp_path / 'manifest.json'
    file.write_text('{}')

    with pytest.raises(UserError, match='not of label maps; choose another --out'):
        LabelStoreWriter(tmp_path, MANIFEST, NAMES, overwrite=True)
    assert file.read_text() == '{}'


@pytest.mark.parametrize('below', ['', 'labels'])
def test_a_file_is_no_folder(tmp_path, below):
    file = tmp_path / 'file'
    file.write_text('mine')

    with pytest.raises(UserError, match='a file stands there; choose another --out'):
        LabelStoreWriter(file / below, MANIFEST, NAMES)


@pytest.mark.parametrize('value', [np.nan, np.inf, 65_520.0])
def test_values_that_are_not_finite_are_refused(tmp_path, value):
    values, ids = maps(0)
    values = values.astype(np.float32)
    values[0, 0, 0] = value

    with pytest.raises(UserError, match='not finite'):
        write(tmp_path, []).write([0], values[None], ids[None])
