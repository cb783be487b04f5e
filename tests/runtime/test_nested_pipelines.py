"""What loads within another transform is watched, too, and what cannot be watched is said."""

from copy import deepcopy

import pytest
import torch
from malformed_images import encoded, picture
from mmengine.dataset import Compose
from mmengine.runner import Runner
from torch import nn
from watched_maps import Maps, labels, segmentation
from watched_runs import Mean, loader, watched_run, write_images

from mmtoken.errors import UserError
from mmtoken.runtime.bad_data.contents import Expected
from mmtoken.runtime.bad_data.hook import BadDataHook
from mmtoken.runtime.bad_data.samples import BadSample, WatchedPipeline

LOAD = dict(type='LoadImageFromFile')
REST = [dict(type='mmseg.LoadAnnotations'), dict(type='mmseg.PackSegInputs')]
NESTED = {
    'test-time augmentation': [
        LOAD,
        dict(type='TestTimeAug', transforms=[[transform] for transform in REST]),
    ],
    'choice': [LOAD, dict(type='RandomChoice', transforms=[REST, REST])],
    'chance': [LOAD, dict(type='RandomApply', transforms=REST[:1], prob=1.0), REST[1]],
    'choice within chance': [
        LOAD,
        dict(
            type='RandomApply', transforms=[dict(type='RandomChoice', transforms=[REST])], prob=1.0
        ),
    ],
}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    """What mmengine logs of the machine takes it a second of each run."""
    monkeypatch.setattr(Runner, '_log_env', lambda self, cfg: None)


def dataset_of(folder, maps, pipeline):
    """A data set of maps of labels with another pipeline."""
    from mmseg.registry import DATASETS

    return DATASETS.build(segmentation(folder, maps) | dict(pipeline=deepcopy(pipeline)))


def as_list(value):
    """What test-time augmentation gives several of."""
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize('name', NESTED)
def test_a_map_that_is_loaded_within_a_transform_is_checked(tmp_path, name):
    dataset = dataset_of(tmp_path, [labels(2, 3, 7)], NESTED[name])
    pipeline = WatchedPipeline(dataset.pipeline.transforms, Expected(mask_labels=3))

    with pytest.raises(BadSample) as info:
        pipeline(dataset.get_data_info(0))

    assert info.value.path.endswith('maps/0.png')
    assert info.value.fault.text.startswith('has the labels 3, 7, and the head 3 classes')


@pytest.mark.parametrize('name', NESTED)
def test_right_maps_are_loaded_as_without_watching(tmp_path, name):
    dataset = dataset_of(tmp_path, [labels(0, 1, 255)], NESTED[name])
    plain = Compose(dataset.pipeline.transforms)(dataset.get_data_info(0))

    watched = WatchedPipeline(dataset.pipeline.transforms, Expected(mask_labels=3))
    found = watched(dataset.get_data_info(0))

    assert found.keys() == plain.keys()
    for one, other in zip(*map(as_list, (found['inputs'], plain['inputs'])), strict=True):
        assert torch.equal(one, other)
    for one, other in zip(
        *map(as_list, (found['data_samples'], plain['data_samples'])), strict=True
    ):
        assert torch.equal(one.gt_sem_seg.data, other.gt_sem_seg.data)


def test_a_missing_map_within_a_transform_is_named_by_its_own_path(tmp_path):
    dataset = dataset_of(tmp_path, [labels(0)], NESTED['chance'])
    (tmp_path / 'maps' / '0.png').unlink()
    pipeline = WatchedPipeline(dataset.pipeline.transforms, Expected())

    with pytest.raises(BadSample) as info:
        pipeline(dataset.get_data_info(0))

    assert (info.value.path, info.value.fault.text) == (
        str(tmp_path / 'maps' / '0.png'),
        'does not exist',
    )


def test_gray_images_stay_right_within_a_transform(tmp_path):
    load = dict(LOAD, color_type='grayscale')
    dataset = dataset_of(tmp_path, [labels(0)], [load, NESTED['choice'][1]])
    pipeline = WatchedPipeline(dataset.pipeline.transforms, Expected(channels=3))

    assert len(pipeline(dataset.get_data_info(0))['inputs']) == 1


def test_random_numbers_are_still_shared_between_images(tmp_path):
    from mmcv.transforms import LoadImageFromFile, RandomFlip, TransformBroadcaster

    flips = [LoadImageFromFile(), RandomFlip(prob=0.5)]
    shared = TransformBroadcaster(
        flips,
        mapping=dict(img_path=['one', 'other']),
        remapping=dict(flip=['one_flip', 'other_flip']),
        auto_remap=False,
        share_random_params=True,
    )
    [sample] = write_images(tmp_path, {'a.png': encoded(picture(), 'PNG')})
    pipeline = WatchedPipeline([shared], Expected())

    for _ in range(20):
        found = pipeline(dict(one=sample['img_path'], other=sample['img_path']))
        assert found['one_flip'] == found['other_flip']


def test_test_time_augmentation_refuses_a_map_out_of_range(tmp_path):
    dataset = segmentation(tmp_path, [labels(7)], test_mode=True) | dict(
        pipeline=deepcopy(NESTED['test-time augmentation'])
    )
    settings = dict(
        test_dataloader=loader(dataset, batch_size=1),
        test_cfg=dict(),
        test_evaluator=[],
        default_scope='mmseg',
    )
    runner, _ = watched_run(tmp_path / 'run', loader(dataset), [BadDataHook()], Maps(), **settings)

    with pytest.raises(UserError, match=r'maps/0.png has the labels 7, and the head 3 classes'):
        runner.test()


class Head(nn.Module):
    """A head with some numbers of classes."""

    def __init__(self, **numbers):
        super().__init__()
        vars(self).update(numbers)


@pytest.mark.parametrize(
    ('place', 'numbers', 'labels'),
    [
        ('semantic_head', dict(num_things_classes=80, num_stuff_classes=53, num_classes=54), 133),
        ('panoptic_head', dict(num_things_classes=2, num_stuff_classes=1, num_classes=3), 3),
        ('roi_head.semantic_head', dict(num_classes=183), 183),
        ('decode_head', dict(num_classes=150), 150),
        # As mmseg's MaskFormer has them.
        ('decode_head', dict(num_things_classes=80, num_stuff_classes=53, num_classes=150), 150),
    ],
)
def test_the_labels_of_masks_are_those_of_the_head(place, numbers, labels):
    model = nn.Module()
    *inner, name = place.split('.')
    owner = model
    for part in inner:
        setattr(owner, part, nn.Module())
        owner = getattr(owner, part)
    setattr(owner, name, Head(**numbers))

    assert Expected.of(model).mask_labels == labels


class Foreign(torch.utils.data.Dataset):
    """A data set that is none of mmengine's."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return dict(inputs=torch.zeros(3, 4, 4))


def test_a_data_set_that_cannot_be_watched_is_named(tmp_path):
    runner, warnings = watched_run(tmp_path, loader(Foreign()), [BadDataHook()], Mean())

    runner.train()

    assert any(
        text.startswith('train_dataloader: Foreign is no data set of mmengine') for text in warnings
    )
