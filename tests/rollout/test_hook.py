"""`DenseRolloutHook` logs the maps of the first validation images."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.visualization import Visualizer
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mmtoken.errors import UserError
from mmtoken.rollout import DenseRolloutHook, dense_rollout


def batch_of(data, count):
    return {name: list(value) * count for name, value in data.items()}


def validate(hook, runner, batches):
    hook.before_val_epoch(runner)
    for index, batch in enumerate(batches):
        hook.after_val_iter(runner, index, batch, None)


@pytest.fixture
def runner(build, tmp_path):
    """A function that makes what the hook needs of a runner, with a visualizer into a folder."""

    def make(kind, backend='LocalVisBackend'):
        visualizer = Visualizer(vis_backends=[dict(type=backend)], save_dir=str(tmp_path / 'run'))
        return SimpleNamespace(model=build(kind), visualizer=visualizer, iter=30)

    return make


def logged(folder):
    return sorted(path.name for path in folder.rglob('rollout_*.png'))


@pytest.mark.parametrize(
    ('kind', 'size'), [('segmentor', (48, 40)), ('detector', (48, 40)), ('classifier', (64, 64))]
)
def test_the_maps_of_the_first_images_are_written(runner, image_data, tmp_path, kind, size):
    run, data = runner(kind), image_data(kind, *size)
    maps = dense_rollout(run.model, data, score_threshold=0.0)
    hook = DenseRolloutHook(images=3, max_classes=2, score_threshold=0.0)

    validate(hook, run, [batch_of(data, 2)] * 3)

    names = [run.model.dataset_meta['classes'][label] for label in list(maps)[:2]]
    expected = [f'rollout_{index}_{name}_30.png' for index in range(3) for name in names]
    assert logged(tmp_path) == sorted(expected)
    picture = Image.open(next(tmp_path.rglob('rollout_0_*.png')))
    assert picture.size == size[::-1]


def test_the_maps_reach_tensorboard(runner, image_data, tmp_path):
    run, data = runner('segmentor', 'TensorboardVisBackend'), image_data('segmentor', 48, 40)
    (label, *_) = dense_rollout(run.model, data)
    hook = DenseRolloutHook(max_classes=1)

    validate(hook, run, [data])
    run.visualizer.close()

    events = EventAccumulator(str(tmp_path / 'run' / 'vis_data')).Reload()
    tag = f'rollout_0_{run.model.dataset_meta["classes"][label]}'
    assert [event.step for event in events.Images(tag)] == [30]


def test_batches_that_are_tensors_are_logged_too(runner, image_data, tmp_path):
    run, data = runner('classifier'), image_data('classifier', 64, 64)
    batch = dict(data, inputs=torch.stack(data['inputs']))

    validate(DenseRolloutHook(), run, [batch])

    assert len(logged(tmp_path)) == 1


def test_validations_between_are_left_out(runner, image_data, tmp_path):
    run, data = runner('classifier'), image_data('classifier', 64, 64)
    hook = DenseRolloutHook(interval=2)

    for iteration in (10, 20, 30):
        run.iter = iteration
        validate(hook, run, [data])

    assert [name.rsplit('_', 1)[1] for name in logged(tmp_path)] == ['10.png', '30.png']


@pytest.mark.parametrize('options', [dict(images=0), dict(interval=0), dict(weights='firm')])
def test_arguments_without_meaning_are_named(options):
    with pytest.raises(UserError, match=next(iter(options))):
        DenseRolloutHook(**options)
