"""`DenseRolloutHook` logs the maps of the first validation images."""

import re
from types import SimpleNamespace

import pytest
import torch
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.model import MMDistributedDataParallel
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmengine.visualization import Visualizer
from mmpretrain.models import VisionTransformer
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mmtoken.errors import UserError
from mmtoken.rollout import DenseRolloutHook, dense_rollout

SCOPES = {'segmentor': 'mmseg', 'detector': 'mmdet', 'classifier': 'mmpretrain'}


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


def test_classes_whose_names_are_no_file_names_are_written(runner, image_data, tmp_path):
    run, data = runner('classifier'), image_data('classifier', 64, 64)
    run.model.dataset_meta = dict(classes=['Cabinet/shelf'] * 10)

    validate(DenseRolloutHook(), run, [data])

    (name,) = logged(tmp_path)
    assert name.startswith('rollout_0_Cabinet-shelf')


@pytest.mark.parametrize('shown', [dict(classes=['cat'] * 10), None])
def test_names_that_the_model_lacks_are_those_of_the_visualizer(
    runner, image_data, tmp_path, shown
):
    run, data = runner('classifier'), image_data('classifier', 64, 64)
    run.model.dataset_meta, run.visualizer.dataset_meta = None, shown

    validate(DenseRolloutHook(), run, [data])

    (name,) = logged(tmp_path)
    assert re.match(r'rollout_0_cat' if shown else r'rollout_0_\d_', name)


class Count(BaseMetric):
    """How many images were predicted."""

    def process(self, data_batch, data_samples):
        self.results += [1] * len(data_samples)

    def compute_metrics(self, results):
        return dict(count=len(results))


@pytest.fixture
def real_runner(image_data, tmp_path):
    """A function that makes a runner of a model with the hook, over three images."""

    def make(model, kind, size, **settings):
        loader = dict(
            dataset=[{name: value[0] for name, value in image_data(kind, *size).items()}] * 3,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=dict(type='pseudo_collate'),
            batch_size=2,
            num_workers=0,
        )
        metric = Count()
        metric.dataset_meta = {}
        return Runner(
            model,
            str(tmp_path),
            val_dataloader=loader,
            val_cfg=dict(),
            val_evaluator=Evaluator([metric]),
            custom_hooks=[dict(type='mmpretrain.DenseRolloutHook', score_threshold=0.0)],
            visualizer=dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')]),
            default_scope=SCOPES[kind],
            experiment_name=tmp_path.name,
            **settings,
        )

    yield make
    DefaultScope._instance_dict.clear()


@pytest.mark.parametrize('kind', SCOPES)
def test_a_runner_of_every_library_logs_the_maps(build, real_runner, tmp_path, kind):
    run = real_runner(build(kind), kind, (64, 64))

    metrics = run.val()

    assert metrics == dict(count=3)
    assert {name.split('_')[1] for name in logged(tmp_path)} == {'0', '1', '2'}


def test_a_wrapped_model_is_rolled_out(build, real_runner, tmp_path, single_process):
    model = MMDistributedDataParallel(build('segmentor'))

    real_runner(model, 'segmentor', (48, 40)).val()

    assert {name.split('_')[1] for name in logged(tmp_path)} == {'0', '1', '2'}


@pytest.fixture
def single_process():
    """A process group of one process."""
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group('gloo', store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def sliding(model):
    model.test_cfg.update(mode='slide', crop_size=(32, 32), stride=(32, 32))


def foreign(model):
    model.backbone = VisionTransformer('deit-tiny', img_size=64)


@pytest.mark.parametrize(
    ('change', 'message'), [(sliding, "mode='slide'"), (foreign, 'backbone VisionTransformer')]
)
@pytest.mark.parametrize('task', ['train', 'val'])
def test_a_model_that_cannot_be_rolled_out_is_refused_at_once(
    build, real_runner, change, message, task
):
    model, iterations = build('segmentor'), []
    change(model)
    model.register_forward_pre_hook(lambda *_: iterations.append(1))
    run = real_runner(
        model,
        'segmentor',
        (48, 40),
        train_dataloader=dict(
            dataset=[{}], batch_size=1, sampler=dict(type='DefaultSampler'), num_workers=0
        ),
        train_cfg=dict(by_epoch=False, max_iters=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
    )

    with pytest.raises(UserError, match=message):
        getattr(run, task)()

    assert not iterations


@pytest.mark.parametrize('error', [UserError, torch.OutOfMemoryError])
def test_an_image_that_fails_does_not_end_the_run(
    runner, image_data, tmp_path, monkeypatch, run_log, error
):
    run, data = runner('classifier'), image_data('classifier', 64, 64)
    fails = iter([True, True, False])

    def sometimes(*args, **kwargs):
        if next(fails):
            raise error('no room')
        return dense_rollout(*args, **kwargs)

    monkeypatch.setattr('mmtoken.rollout.hook.dense_rollout', sometimes)

    validate(DenseRolloutHook(), run, [data] * 3)

    (text,) = (text for level, text in run_log if level == 'WARNING')
    assert 'no room' in text
    assert [name.split('_')[1] for name in logged(tmp_path)] == ['2']


def test_the_options_of_the_roll_out_are_handed_on(runner, image_data, monkeypatch):
    seen = []
    monkeypatch.setattr(
        'mmtoken.rollout.hook.dense_rollout',
        lambda *args, **kwargs: seen.append(kwargs) or dense_rollout(*args, **kwargs),
    )
    run, data = runner('classifier'), image_data('classifier', 64, 64)

    validate(DenseRolloutHook(weights='soft', score_threshold=0.1), run, [data])
    validate(DenseRolloutHook(), run, [data])

    assert seen == [
        dict(weights='soft', score_threshold=0.1),
        dict(weights='hard', score_threshold=0.3),
    ]


def test_every_validation_is_logged_by_default(runner, image_data, tmp_path):
    run, data, hook = runner('classifier'), image_data('classifier', 64, 64), DenseRolloutHook()

    for iteration in (10, 20):
        run.iter = iteration
        validate(hook, run, [data] * 5)

    assert [name.rsplit('_', 1)[1] for name in logged(tmp_path)] == ['10.png', '20.png'] * 4


@pytest.mark.parametrize('options', [dict(images=0), dict(interval=0), dict(weights='firm')])
def test_arguments_without_meaning_are_named(options):
    with pytest.raises(UserError, match=next(iter(options))):
        DenseRolloutHook(**options)
