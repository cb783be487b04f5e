"""Maps that images lack are named before the first step, and none is loaded too late."""

import pytest
from label_stores import write_label_store
from mmengine.dataset import Compose
from mmpretrain.registry import TRANSFORMS
from watched_runs import Listed, good_images, loader, watched_run, write_images

from mmtoken.datasets.label_store import image_name
from mmtoken.errors import UserError
from mmtoken.runtime.bad_data.hook import BadDataHook

NAMES = [f'good_{n:03}.png' for n in range(6)]


def pipeline(folder, *steps, images='images'):
    load = dict(type='mmpretrain.LoadTokenLabels', store=f'{folder}/labels', num_classes=5)
    return [
        dict(type='mmcv.LoadImageFromFile'),
        *steps,
        dict(load, images=f'{folder}/{images}'),
        dict(type='mmcv.Resize', scale=(8, 8)),
        dict(type='mmpretrain.PackTokenLabels'),
    ]


def dataset(folder, **options):
    samples = write_images(folder / 'images', good_images(6))
    return Listed(samples, pipeline=pipeline(folder, **options))


@pytest.mark.parametrize('workers', [0, 2])
def test_a_run_over_images_that_all_have_maps_trains(tmp_path, workers):
    write_label_store(tmp_path / 'labels', ['another.png', *NAMES], 5)
    data = dataset(tmp_path)
    runner, _ = watched_run(tmp_path, loader(data, workers), [BadDataHook()])

    runner.train()

    assert runner.iter == 3


@pytest.mark.parametrize('wrapped', [False, True])
def test_images_without_maps_are_counted_before_the_first_step(tmp_path, wrapped):
    write_label_store(tmp_path / 'labels', [name for name in NAMES if name[-5] not in '24'], 5)
    data = dataset(tmp_path)
    if wrapped:
        data = dict(type='RepeatDataset', dataset=data, times=2)
    runner, _ = watched_run(tmp_path, loader(data), [BadDataHook(limit=1.0)])

    with pytest.raises(UserError) as error:
        runner.train()

    text = str(error.value)
    assert text.startswith(
        f"{tmp_path}/labels has no label map of 2 of 6 images, such as 'good_002.png'"
    )
    assert text.endswith('as in: python noise.py --overwrite')


@pytest.mark.parametrize(
    ('path', 'folder', 'name'),
    [
        ('a/b/1.png', 'a', 'b/1.png'),
        ('a/b/1.png', './a/', 'b/1.png'),
        ('./a//b/../1.png', 'a', '1.png'),
        ('a/1.png', '.', 'a/1.png'),
        ('a/1.png', '', 'a/1.png'),
        ('/d/a/1.png', '/d/a', 'a/1.png'[2:]),
        ('/d/ab/1.png', '/d/a', None),
        ('/d/a/1.png', '.', None),
        ('../a/1.png', '.', None),
        ('a/../b/1.png', 'a', None),
    ],
)
def test_an_image_is_called_by_its_way_from_the_folder(path, folder, name):
    assert image_name(path, folder) == name


def test_what_is_packed_says_how_large_it_is(tmp_path):
    write_label_store(tmp_path / 'labels', NAMES, 5)
    data = dataset(tmp_path)

    sample = data[0]['data_samples']

    assert sample.token_label_shape == (8, 8) and 'token_label_shape' in sample.metainfo


def test_images_of_another_folder_are_named(tmp_path):
    write_label_store(tmp_path / 'labels', NAMES, 5)
    data = dataset(tmp_path, images='imag')

    with pytest.raises(UserError, match='good_000.png is not in .*imag, the folder of images'):
        data.pipeline(data.get_data_info(0))


def test_images_that_are_no_files_are_refused(tmp_path):
    write_label_store(tmp_path / 'labels', NAMES, 5)
    load = TRANSFORMS.build(pipeline(tmp_path)[1])

    with pytest.raises(UserError, match=r'has its images in none \(no img_path\)'):
        load(dict(img=None))


def test_maps_that_are_loaded_after_tracking_are_refused(tmp_path):
    write_label_store(tmp_path / 'labels', NAMES, 5)
    write_images(tmp_path / 'images', good_images(6))
    steps = pipeline(tmp_path, dict(type='mmpretrain.TrackAffine', transforms=[]))

    with pytest.raises(UserError, match='LoadTokenLabels comes after TrackAffine'):
        Compose(steps)(dict(img_path=f'{tmp_path}/images/good_000.png', gt_label=0))
