"""What the first and last bytes of an image file tell, and that no file at all is passed over."""

import json
import pickle
from copy import deepcopy
from functools import cache

import numpy as np
import pytest
from malformed_images import (
    broken_files,
    encoded,
    odd_files,
    odd_files_that_readers_may_refuse,
    picture,
)
from mmengine.dataset import Compose
from watched_runs import PIPELINE, Listed, write_images

from mmtoken.errors import UserError
from mmtoken.runtime.bad_data import samples as bad_data_samples
from mmtoken.runtime.bad_data.contents import Expected
from mmtoken.runtime.bad_data.files import fault_of_file
from mmtoken.runtime.bad_data.log import SampleLog
from mmtoken.runtime.bad_data.samples import WatchedLoading

BROKEN, ODD, EITHER = broken_files(), odd_files(), odd_files_that_readers_may_refuse()


@cache
def built_pipeline():
    """The transforms, which take a while to find."""
    return Compose(PIPELINE).transforms


def watched(folder, files, strict=False, backend='cv2'):
    """A data set of files, and the log of what is bad; other samples are not drawn."""
    samples = write_images(folder, files) if isinstance(files, dict) else files
    dataset = Listed(samples, pipeline=deepcopy(built_pipeline()))
    dataset.pipeline.transforms[0].imdecode_backend = backend
    log = SampleLog(folder / 'bad_data', rank=0)
    dataset.prepare_data = WatchedLoading(dataset, 0, 'loader', log, Expected(channels=3), strict)
    return dataset, log


@pytest.mark.parametrize('backend', ['cv2', 'pillow'])
@pytest.mark.parametrize('name', BROKEN)
def test_a_broken_file_is_named_and_never_loaded(tmp_path, name, backend):
    dataset, log = watched(tmp_path, {name: BROKEN[name]}, backend=backend)

    assert dataset.prepare_data(0) is None

    [record] = log.read()
    assert record.path == str(tmp_path / name) and record.text


@pytest.mark.parametrize('name', ODD)
def test_an_odd_file_is_loaded_as_it_is(tmp_path, name):
    dataset, log = watched(tmp_path, {name: ODD[name]})

    sample = dataset.prepare_data(0)

    assert sample['inputs'].shape[0] == 3
    assert log.read() == []


@pytest.mark.parametrize('name', EITHER)
def test_a_file_is_either_loaded_or_named(tmp_path, name):
    dataset, log = watched(tmp_path, {name: EITHER[name]})

    sample = dataset.prepare_data(0)

    assert (sample is None) == (len(log.read()) == 1)


@pytest.mark.parametrize(
    ('name', 'text'),
    [
        ('empty.png', 'is empty'),
        ('page.jpg', 'cannot be decoded'),
        ('zero_filled.jpg', 'is truncated: its last 7441 bytes are zeros'),
        ('cut_at_200.jpg', 'is truncated: the JPEG has no end'),
        ('preview.jpg', 'is truncated: the JPEG has no end'),
        ('half.webp', 'is truncated: 578 of 678 bytes'),
        ('bomb_below_limits.png', 'promises 400000000 pixels in 74 bytes'),
        ('bomb.jpg', 'promises 4290250000 pixels in 998 bytes'),
    ],
)
def test_the_fault_is_said(tmp_path, name, text):
    dataset, log = watched(tmp_path, {name: BROKEN[name]})

    dataset.prepare_data(0)

    assert log.read()[0].text == text


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    paths = [tmp_path / 'none.png', tmp_path / 'folder.png']
    paths[1].mkdir()
    dataset, log = watched(tmp_path, [dict(img_path=str(path)) for path in paths])

    assert dataset.prepare_data(0) is None and dataset.prepare_data(1) is None

    missing, folder = log.read()
    assert missing.text == 'does not exist'
    assert 'IsADirectoryError' in folder.text


def test_a_whole_file_is_not_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr('mmtoken.runtime.bad_data.files._decodes', lambda content: pytest.fail())
    for name in ('plain.jpg', 'plain.png', 'padded.jpg', 'preview.jpg'):
        (tmp_path / name).write_bytes(ODD[name])

        assert fault_of_file(str(tmp_path / name)) is None


def test_where_a_model_is_tested_a_broken_file_is_an_error(tmp_path):
    dataset, _ = watched(tmp_path, {'cut.png': BROKEN['cut_at_40.png']}, strict=True)

    with pytest.raises(UserError, match=r'loader: .*cut.png is truncated.* no sample is replaced'):
        dataset.prepare_data(0)


def test_where_a_model_is_tested_nothing_is_left_out_by_the_pipeline(tmp_path):
    dataset, _ = watched(tmp_path, {'plain.png': ODD['plain.png']}, strict=True)
    dataset.pipeline = Compose([lambda sample: None])

    with pytest.raises(UserError, match=r'plain.png is left empty by the pipeline'):
        dataset.prepare_data(0)


def test_what_a_pipeline_leaves_empty_is_counted_apart(tmp_path):
    dataset, log = watched(tmp_path, {'plain.png': ODD['plain.png']})
    dataset.pipeline = Compose([lambda sample: None])

    assert dataset.prepare_data(0) is None and dataset.prepare_data(0) is None

    assert log.redrawn() == 2 and log.read() == []


def test_a_pipeline_that_is_exchanged_is_watched_too(tmp_path):
    dataset, log = watched(tmp_path, {'cut.png': BROKEN['cut_at_40.png']})
    dataset.prepare_data(0)
    dataset.pipeline = Compose(built_pipeline())

    dataset.prepare_data(0)

    assert len(log.read()) == 2


def test_a_fault_of_the_program_stays_one(tmp_path):
    dataset, log = watched(tmp_path, {'plain.png': ODD['plain.png']})
    dataset.pipeline.transforms.append(lambda sample: sample['no such key'])

    with pytest.raises(KeyError, match='no such key'):
        dataset.prepare_data(0)


def test_many_bad_samples_in_a_row_end_the_search_for_a_good_one(tmp_path, monkeypatch):
    monkeypatch.setattr(bad_data_samples, 'MOST_IN_A_ROW', 5)
    dataset, _ = watched(tmp_path, {'a.png': b'', 'b.png': b''})

    with pytest.raises(UserError, match=r'loader: 5 samples in a row are bad.* is empty'):
        dataset[0]


def test_bad_samples_between_good_ones_are_not_in_a_row(tmp_path, monkeypatch):
    monkeypatch.setattr(bad_data_samples, 'MOST_IN_A_ROW', 2)
    dataset, _ = watched(tmp_path, {'a.png': b'', 'b.png': ODD['plain.png']})

    found = [dataset.prepare_data(index) is None for index in (0, 1, 0, 1)]

    assert found == [True, False] * 2


def test_a_pickled_data_set_is_watched_in_its_worker(tmp_path):
    dataset, log = watched(tmp_path, {'cut.png': BROKEN['cut_at_40.png']})

    copy = pickle.loads(pickle.dumps(dataset))
    copy.prepare_data(0)

    assert copy.prepare_data.dataset is copy
    assert len(log.read()) == 1


def test_a_part_of_a_data_set_is_watched(tmp_path):
    dataset, log = watched(tmp_path, {'plain.png': ODD['plain.png'], 'cut.png': b''})

    part = dataset.get_subset([1])
    part.prepare_data(0)

    assert log.read()[0].path.endswith('cut.png')


def test_a_line_that_is_not_written_to_its_end_is_read_later(tmp_path):
    log = SampleLog(tmp_path, rank=0)
    line = json.dumps(dict(loader='a', sample='0:1', path='p', kind='k', text='t')) + '\n'
    log.path.write_text(line + line[:20])

    first = log.read()
    with open(log.path, 'a') as file:
        file.write(line[20:])

    assert len(first) == 1 and first == log.read()


def test_remote_paths_are_left_to_the_reader(tmp_path):
    dataset, log = watched(tmp_path, {'empty.png': b''})
    loading = dataset.pipeline.transforms[0]
    loading.backend_args = dict(backend='petrel')
    loading.transform = lambda sample: dict(sample, img=np.zeros((24, 24, 3), np.uint8))

    assert dataset.prepare_data(0) is not None


def test_a_gray_image_fits_a_config_that_asks_for_gray(tmp_path):
    dataset, log = watched(tmp_path, {'plain.png': encoded(picture(), 'PNG')})
    dataset.pipeline.transforms[0].color_type = 'grayscale'

    assert dataset.prepare_data(0)['inputs'].shape[0] == 1


def test_an_image_of_other_channels_is_named(tmp_path):
    dataset, log = watched(tmp_path, {'alpha.png': ODD['alpha.png']})
    dataset.pipeline.transforms[0].color_type = 'unchanged'

    assert dataset.prepare_data(0) is None

    assert log.read()[0].text == 'has 4 channels, and the model normalizes 3'
