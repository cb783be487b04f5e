"""Runs over bad data: what is named, summed up and limited, and that good data are left alone."""

import json
import os

import pytest
import torch
from malformed_images import encoded, picture
from mmengine.runner import Runner
from started_ranks import run_two_ranks
from watched_runs import (
    PIPELINE,
    Listed,
    Mean,
    good_images,
    loader,
    watched_run,
    write_images,
)

from mmtoken.errors import UserError
from mmtoken.runtime.bad_data.hook import BadDataHook

CUT = encoded(picture(), 'PNG')[:500]
BAD = {'bad_cut.png': CUT, 'bad_empty.png': b''}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    """What mmengine logs of the machine takes it a second of each run."""
    monkeypatch.setattr(Runner, '_log_env', lambda self, cfg: None)


def images(folder, good=8, bad=BAD, **options):
    """A data set of good images and bad ones."""
    return Listed(write_images(folder / 'images', good_images(good) | bad), pipeline=PIPELINE)


def records(folder):
    """The bad samples in the log's folder."""
    lines = [
        line for file in folder.glob('*/bad_data/rank*.jsonl') for line in file.open().readlines()
    ]
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize('workers', [0, 2])
def test_bad_samples_are_named_listed_and_summed_up(tmp_path, workers):
    runner, warnings = watched_run(
        tmp_path, loader(images(tmp_path), workers), [BadDataHook(limit=0.5)]
    )

    runner.train()

    named = {line.partition(' ')[2] for line in warnings if line.endswith('; replaced')}
    assert named == {
        f'{tmp_path}/images/bad_cut.png is truncated: the PNG has no end; replaced',
        f'{tmp_path}/images/bad_empty.png is empty; replaced',
    }
    [summary] = [line for line in warnings if 'bad samples were replaced' in line]
    assert '1 truncated' in summary or '2 truncated' in summary
    assert '2 of 10 in this pass (limit 0.5)' in summary
    assert {record['path'] for record in records(tmp_path)} == {
        f'{tmp_path}/images/{name}' for name in BAD
    }


@pytest.mark.parametrize('workers', [0, 2])
def test_more_than_the_limit_is_an_error(tmp_path, workers):
    runner, _ = watched_run(tmp_path, loader(images(tmp_path), workers), [BadDataHook(limit=0.1)])

    with pytest.raises(UserError) as error:
        runner.train()

    text = str(error.value)
    assert text.startswith('train_dataloader: 2 of 10 samples are bad, more than the limit of 0.1')
    assert 'bad_cut.png is truncated: the PNG has no end' in text and 'bad_empty.png' in text


def test_a_run_over_the_limit_ends_at_once(tmp_path):
    samples = write_images(tmp_path / 'images', BAD | good_images(8))
    train = loader(Listed(samples, pipeline=PIPELINE))
    runner, _ = watched_run(tmp_path, train, [BadDataHook(limit=0)])

    with pytest.raises(UserError, match='bad_cut.png'):
        runner.train()

    assert runner.iter == 0


class LoadUnsteadily:
    """Fails with another sample in each pass: the first, then the second, then the third of ten."""

    def __init__(self):
        self.seen = 0

    def __call__(self, sample):
        self.seen += 1
        if self.seen in (1, 12, 23):
            raise OSError('a hiccup of the disk')
        return sample


def test_samples_that_fail_in_different_passes_do_not_add_up(tmp_path):
    dataset = images(tmp_path, 9, {})
    dataset.pipeline.transforms.insert(0, LoadUnsteadily())
    schedule = dict(by_epoch=True, max_epochs=3)
    hooks = [BadDataHook(limit=0.12)]
    runner, warnings = watched_run(tmp_path, loader(dataset), hooks, train_cfg=schedule)

    runner.train()

    assert ''.join(warnings).count('a hiccup of the disk); replaced') == 3


def test_persistent_workers_find_a_file_bad_in_each_pass(tmp_path):
    train = loader(images(tmp_path, bad=dict(bad_cut=CUT)), workers=1, persistent_workers=True)
    schedule = dict(by_epoch=True, max_epochs=3)
    runner, warnings = watched_run(tmp_path, train, [BadDataHook(limit=0.12)], train_cfg=schedule)

    runner.train()

    assert len([line for line in warnings if line.endswith('; replaced')]) == 1
    assert len([line for line in warnings if '1 of 9 in this pass' in line]) == 3


def test_where_iterations_are_counted_checkpoints_bring_the_summary(tmp_path):
    train = loader(images(tmp_path), sampler=dict(type='InfiniteSampler', shuffle=False))
    runner, warnings = watched_run(
        tmp_path,
        train,
        [BadDataHook(limit=0.5)],
        train_cfg=dict(by_epoch=False, max_iters=12),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=5, by_epoch=False)),
    )

    runner.train()

    # The bad ones are the last two of ten, in batches of two: loaded at 5 and 10.
    assert len([line for line in warnings if 'bad samples were replaced' in line]) == 2


def test_workers_that_start_while_the_loop_is_built_are_watched(tmp_path):
    """As those of mmengine 0.10.7 do where iterations are counted, before any place of a hook."""
    train = loader(images(tmp_path), 1, sampler=dict(type='InfiniteSampler', shuffle=False))
    schedule = dict(by_epoch=False, max_iters=6)
    hooks = [BadDataHook(limit=0.5)]
    runner, warnings = watched_run(tmp_path, train, hooks, train_cfg=schedule)

    runner.train()

    assert 'is truncated' in ''.join(warnings)


def test_the_first_ten_are_named_and_all_are_listed(tmp_path):
    bad = {f'bad_{n:02}.png': b'' for n in range(14)}
    runner, warnings = watched_run(
        tmp_path, loader(images(tmp_path, 30, bad)), [BadDataHook(limit=1)]
    )

    runner.train()

    assert len([line for line in warnings if line.endswith('; replaced')]) == 10
    assert len({record['path'] for record in records(tmp_path)}) == 14


def test_samples_that_a_crop_leaves_empty_are_counted_apart(tmp_path):
    dataset = images(tmp_path, 8, {})
    dataset.pipeline.transforms.append(Dropping())
    runner, warnings = watched_run(tmp_path, loader(dataset), [BadDataHook(limit=0)])
    infos = []
    runner.logger.info = infos.append

    runner.train()

    assert not [line for line in warnings if 'bad' in line]
    assert any('of 1 samples the pipeline left nothing' in str(line) for line in infos)


class Dropping:
    """Leaves nothing of the first sample that it sees."""

    def __init__(self):
        self.seen = 0

    def __call__(self, sample):
        self.seen += 1
        return None if self.seen == 1 else sample


@pytest.mark.parametrize('workers', [0, 2])
@pytest.mark.parametrize('part', ['val', 'test'])
def test_a_bad_sample_of_validation_or_testing_is_an_error(tmp_path, part, workers):
    good = loader(images(tmp_path, 4, {}))
    tested = loader(images(tmp_path), workers)
    options = {f'{part}_dataloader': tested, f'{part}_cfg': {}, f'{part}_evaluator': []}
    runner, _ = watched_run(tmp_path, good, [BadDataHook(limit=1)], **options)

    with pytest.raises(UserError, match=rf'{part}_dataloader: .*bad_cut.png is truncated'):
        runner.train() if part == 'val' else runner.test()


def test_a_label_that_the_head_does_not_have_is_named(tmp_path):
    samples = write_images(tmp_path / 'images', good_images(4))
    samples[2]['gt_label'], samples[3]['gt_label'] = 10, -1
    train = loader(Listed(samples, pipeline=PIPELINE))
    runner, warnings = watched_run(tmp_path, train, [BadDataHook(limit=0.5)])

    runner.train()

    paths = [sample['img_path'] for sample in samples]
    text = ''.join(warnings)
    assert f'{paths[2]} (sample 2) has the label 10, and the head 10 classes; replaced' in text
    assert f'{paths[3]} (sample 3) has the label -1' in text


@pytest.mark.parametrize(
    'wrapper',
    [
        dict(type='RepeatDataset', times=2),
        dict(type='ConcatDataset'),
        dict(type='mmdet.MultiImageMixDataset', pipeline=[]),
    ],
    ids=lambda wrapper: wrapper['type'],
)
def test_data_sets_inside_others_are_watched(tmp_path, wrapper):
    inner = images(tmp_path)
    concat = wrapper['type'] == 'ConcatDataset'
    outer = wrapper | (dict(datasets=[inner, inner]) if concat else dict(dataset=inner))
    runner, warnings = watched_run(tmp_path, loader(outer), [BadDataHook(limit=1)])

    runner.train()

    assert 'is truncated' in ''.join(warnings)


@pytest.mark.parametrize('workers', [0, 2])
def test_over_good_data_a_run_is_the_same_bit_for_bit(tmp_path, workers):
    found = []
    for hooks in ([], [BadDataHook()]):
        model = Mean()
        sampler = dict(type='DefaultSampler', shuffle=True)
        train = loader(images(tmp_path, 9, {}), workers, sampler=sampler)
        run = watched_run(tmp_path / str(len(hooks)), train, hooks, model, randomness=dict(seed=1))
        run[0].train()
        found.append((model.state_dict(), torch.get_rng_state()))

    (weights, state), (expected, expected_state) = found
    assert all(torch.equal(weights[name], value) for name, value in expected.items())
    assert torch.equal(state, expected_state)
    assert not list(tmp_path.glob('1/*/bad_data'))


def run_rank(rank, folder, limit):
    """One of two processes over different samples; writes how it ended."""
    os.environ['LOCAL_RANK'] = str(rank)
    store = torch.distributed.FileStore(str(folder / 'store'), 2)
    torch.distributed.init_process_group('gloo', store=store, rank=rank, world_size=2)
    on_cpu = dict(type='MMDistributedDataParallel', device_ids=None)
    # The first rank loads the samples of even numbers, the only bad one among them.
    samples = write_images(folder / f'images{rank}', dict(bad=CUT) | good_images(7))
    train = loader(Listed(samples, pipeline=PIPELINE))
    runner, warnings = watched_run(
        folder, train, [BadDataHook(limit)], launcher='pytorch', cfg=dict(model_wrapper_cfg=on_cpu)
    )
    end = 'finished'
    try:
        runner.train()
    except UserError as error:
        end = str(error)
    (folder / f'{rank}.txt').write_text(end)


@pytest.mark.parametrize('limit', [0.2, 0.1])
def test_all_processes_decide_alike(tmp_path, limit):
    run_two_ranks(run_rank, tmp_path, limit)

    ends = [(tmp_path / f'{rank}.txt').read_text() for rank in (0, 1)]
    expected = 'train_dataloader: 1 of 8 samples are bad' if limit < 1 / 8 else 'finished'
    assert all(end.startswith(expected) for end in ends)


@pytest.mark.parametrize('limit', [-0.1, 1.5, 'all'])
def test_a_limit_that_is_no_share_is_refused(limit):
    with pytest.raises(UserError, match='limit'):
        BadDataHook(limit=limit)
