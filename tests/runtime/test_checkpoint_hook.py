"""Checkpoints with all arguments of mmengine's hook, pruned last, and written while training."""

import io
import re
import threading
from pathlib import Path

import pytest
import torch
from mmengine.hooks import CheckpointHook, Hook
from mmengine.runner import FlexibleRunner
from tiny_run import read, run_two, tiny_runner

from mmtoken.errors import UserError
from mmtoken.runtime import save_job
from mmtoken.runtime.background_writer import BackgroundWriter
from mmtoken.runtime.checkpoint_hook import ReliableCheckpointHook
from mmtoken.runtime.config_text import ConfigText
from mmtoken.runtime.resume_choice import choose_checkpoint, install_resume_choice
from mmtoken.runtime.signal_hook import SignalHook
from mmtoken.runtime.snapshot import Snapshot

install_resume_choice()
SCORES = [1.0, 3.0, 2.0]


def files(folder: Path) -> list[str]:
    """The checkpoints under a folder; what a published one is of, in place of its digest."""
    names = [str(path.relative_to(folder)) for path in folder.rglob('*.pth')]
    return sorted(re.sub(r'-[0-9a-f]{8}\.pth', '-digest.pth', name) for name in names)


@pytest.mark.parametrize(
    ('options', 'iterations'),
    [
        (dict(interval=1), 0),
        (dict(interval=2, max_keep_ckpts=1), 0),
        (dict(interval=1, max_keep_ckpts=2, save_begin=2), 0),
        (dict(interval=-1, save_best='acc', save_last=False), 0),
        (dict(interval=2, save_best='auto', rule='less'), 0),
        (dict(interval=1, save_best=['acc', 'top'], max_keep_ckpts=1), 0),
        (dict(interval=3, by_epoch=False, max_keep_ckpts=2, save_best='acc'), 12),
        (dict(interval=5, by_epoch=False, filename_tmpl='at_{}.pth'), 0),
        (dict(interval=1, filename_tmpl='run/epoch{}.pth'.replace('/', '-')), 0),
        (dict(save_best='acc', published_keys=['meta', 'state_dict'], max_keep_ckpts=1), 0),
        (dict(interval=1, save_optimizer=False, save_param_scheduler=False), 0),
    ],
)
@pytest.mark.parametrize('asynchronous', [False, True])
def test_its_checkpoints_are_those_of_mmengines_hook(tmp_path, options, iterations, asynchronous):
    for name, kind in (('theirs', CheckpointHook), ('ours', ReliableCheckpointHook)):
        own = {'asynchronous': asynchronous} if name == 'ours' else {}
        hook = kind(**options, **own, out_dir=str(tmp_path / name))
        tiny_runner(tmp_path / 'run', hook, scores=SCORES, iterations=iterations).train()

    assert files(tmp_path / 'ours') == files(tmp_path / 'theirs') != []
    for path in (tmp_path / 'ours').rglob('*.pth'):
        found = [path, *(tmp_path / 'theirs').rglob(path.name)]
        if len(found) == 2:  # A published one has a name of its own.
            ours, theirs = map(read, found)
            assert list(ours) == list(theirs)
            for key in ('epoch', 'iter'):
                assert ours['meta'][key] == theirs['meta'][key]
            torch.testing.assert_close(ours['state_dict'], theirs['state_dict'], rtol=0, atol=0)


@pytest.mark.parametrize('asynchronous', [False, True])
def test_training_is_the_same_with_it(tmp_path, asynchronous):
    plain = tiny_runner(tmp_path / 'plain', CheckpointHook(1), scores=SCORES)
    hook = dict(save_best='acc', max_keep_ckpts=1, asynchronous=asynchronous)
    guarded = tiny_runner(tmp_path / 'guarded', hook, [SignalHook()], scores=SCORES)

    for runner in (plain, guarded):
        runner.train()

    states = [runner.model.state_dict() for runner in (plain, guarded)]
    torch.testing.assert_close(*states, rtol=0, atol=0)
    states = [runner.optim_wrapper.state_dict() for runner in (plain, guarded)]
    torch.testing.assert_close(*states, rtol=0, atol=0)


def test_a_resumed_run_removes_the_best_checkpoint_of_before(tmp_path):
    hook = dict(save_best='acc', max_keep_ckpts=1)
    tiny_runner(tmp_path / 'before', hook, scores=[1.0], epochs=1).train()
    (tmp_path / 'before').rename(tmp_path / 'after')

    tiny_runner(tmp_path / 'after', hook, scores=[2.0], epochs=2, resume=True).train()

    assert files(tmp_path / 'after') == ['best_acc_epoch_2.pth', 'epoch_2.pth']


def test_a_copied_run_leaves_the_files_of_its_origin_alone(tmp_path):
    hook = dict(save_best='acc', max_keep_ckpts=1)
    tiny_runner(tmp_path / 'origin', hook, scores=[1.0], epochs=1).train()
    origin = tmp_path / 'origin' / 'epoch_1.pth'
    (tmp_path / 'copy').mkdir()
    (tmp_path / 'copy' / 'epoch_0.pth').touch()

    tiny_runner(
        tmp_path / 'copy', hook, scores=[2.0], epochs=2, resume=True, load_from=str(origin)
    ).train()

    assert files(tmp_path / 'origin') == ['best_acc_epoch_1.pth', 'epoch_1.pth']
    assert 'epoch_0.pth' in files(tmp_path / 'copy')


def test_a_best_checkpoint_that_takes_the_place_of_its_namesake_stays(tmp_path):
    hook = ReliableCheckpointHook(interval=1, save_best='acc')

    def better_still(runner):
        hook.after_val_epoch(runner, dict(acc=9.0))

    tiny_runner(tmp_path, hook, [At('after_val', better_still)], scores=[1.0], epochs=1).train()

    assert files(tmp_path) == ['best_acc_epoch_1.pth', 'epoch_1.pth']
    info = read(tmp_path / 'epoch_1.pth')['message_hub']['runtime_info']
    assert info['best_score'] == 9


class Reference(Hook):
    """What a checkpoint is when it is saved, and training changes after it."""

    priority = 'LOWEST'

    def __init__(self):
        self.saved = []

    def before_save_checkpoint(self, runner, checkpoint):
        file = io.BytesIO()
        torch.save(checkpoint, file)
        self.saved.append(file.getvalue())


class Blocked:
    """Writes of checkpoints, which wait to be let go; begins and ends are listed."""

    def __init__(self, monkeypatch):
        self.go = threading.Event()
        self.seen = []
        original = save_job.write_checkpoint

        def write(checkpoint, path):
            self.seen.append(f'begin {path.name}')
            assert self.go.wait(60)
            original(checkpoint, path)
            self.seen.append(f'end {path.name}')

        monkeypatch.setattr(save_job, 'write_checkpoint', write)


class At(Hook):
    """Does something at a place of the run."""

    def __init__(self, place, action, priority='NORMAL'):
        self.priority = priority
        setattr(self, place, lambda runner, *args, **kwargs: action(runner))


def test_a_background_write_is_the_file_of_its_time_though_training_went_on(tmp_path, monkeypatch):
    blocked, reference = Blocked(monkeypatch), Reference()
    steps = []
    hooks = [
        reference,
        At('after_train_iter', lambda runner: steps.append(list(blocked.seen))),
        At('after_train', lambda runner: blocked.go.set()),
    ]
    hook = dict(by_epoch=False, interval=5, asynchronous=True, save_last=False)

    tiny_runner(tmp_path, hook, hooks, epochs=2).train()

    assert steps[-1] == ['begin iter_5.pth']
    assert (tmp_path / 'iter_5.pth').read_bytes() == reference.saved[0]


def test_at_most_one_write_is_in_flight(tmp_path, monkeypatch):
    blocked, wait = Blocked(monkeypatch), BackgroundWriter.wait

    def let_go(writer):
        if writer._thread is not None:
            blocked.go.set()
        wait(writer)

    monkeypatch.setattr(BackgroundWriter, 'wait', let_go)

    # The second save would go on for ever if it did not wait for the first.
    tiny_runner(tmp_path, dict(asynchronous=True, max_keep_ckpts=1), epochs=3).train()

    names = [f'epoch_{epoch}.pth' for epoch in (1, 2, 3)]
    assert blocked.seen == [f'{what} {name}' for name in names for what in ('begin', 'end')]


def test_an_error_of_a_background_write_ends_the_run_at_the_next_iteration(tmp_path, monkeypatch):
    go, steps = threading.Event(), []

    def write(checkpoint, path):
        assert go.wait(60)
        raise UserError('the disk is full')

    def step(runner):
        steps.append(runner.iter)
        if runner.iter == 5:
            go.set()
            hook._writer._thread.join()

    monkeypatch.setattr(save_job, 'write_checkpoint', write)
    hook = ReliableCheckpointHook(by_epoch=False, interval=3, asynchronous=True)
    with pytest.raises(UserError, match='the disk is full'):
        tiny_runner(tmp_path, hook, [At('before_train_iter', step)]).train()

    assert steps == [0, 1, 2, 3, 4, 5]
    assert files(tmp_path) == []


def test_what_an_error_ended_is_written_all_the_same(tmp_path, monkeypatch):
    blocked = Blocked(monkeypatch)

    def fail(runner):
        if runner.iter == 6:
            raise RuntimeError('elsewhere')

    with pytest.raises(RuntimeError, match='elsewhere'):
        tiny_runner(tmp_path, dict(asynchronous=True), [At('before_train_iter', fail)]).train()
    blocked.go.set()

    assert choose_checkpoint(tmp_path).checkpoint == tmp_path / 'epoch_1.pth'


def test_tensors_that_share_memory_do_so_in_a_snapshot():
    whole = torch.arange(12.0).reshape(3, 4)
    value = {'whole': whole, 'part': whole[1:, ::2], 'again': [whole, (1, 'a'), None]}
    before = io.BytesIO()
    torch.save(value, before)

    taken = Snapshot().take(value)
    whole.zero_()

    after = io.BytesIO()
    torch.save(taken, after)
    assert after.getvalue() == before.getvalue()


def test_a_snapshot_uses_the_memory_of_the_one_before():
    snapshot, value = Snapshot(), {'a': torch.ones(5), 'b': torch.ones(5), 'c': torch.ones(7)}

    first = {tensor.data_ptr() for tensor in snapshot.take(value).values()}
    second = {tensor.data_ptr() for tensor in snapshot.take(value).values()}

    assert first == second and len(first) == 3


def test_what_is_no_plain_tensor_is_copied_too():
    values = [torch.nn.Parameter(torch.ones(2)), torch.eye(2).to_sparse(), {1, 2}]

    taken = Snapshot().take(values)
    values[0].data.zero_()

    assert type(taken[0]) is torch.nn.Parameter and taken[0].sum() == 2
    assert torch.equal(taken[1].to_dense(), torch.eye(2))
    assert taken[2] == {1, 2} and taken[2] is not values[2]


def test_the_text_of_a_config_is_made_again_when_it_changes(tmp_path):
    cfg, text = tiny_runner(tmp_path).cfg, ConfigText()

    for size in (1, 2):
        cfg.size = size
        with text.remembered(cfg):
            assert f'size = {size}' in cfg.pretty_text
            assert text._text is cfg.pretty_text


@pytest.mark.parametrize('save_best', ['acc', None])
def test_weights_are_beside_the_best_or_all_checkpoints(tmp_path, save_best):
    pytest.importorskip('safetensors')
    from mmtoken.weights import read_state

    hook = dict(safetensors=True, max_keep_ckpts=1, save_best=save_best)
    tiny_runner(tmp_path, hook, scores=SCORES).train()

    (path,) = tmp_path.glob('*.safetensors')
    assert path.stem == ('best_acc_epoch_2' if save_best else 'epoch_3')
    expected = read(path.with_suffix('.pth'))['state_dict']
    torch.testing.assert_close(dict(read_state(str(path))), dict(expected), rtol=0, atol=0)


def test_mmengine_loads_safetensors(tmp_path):
    pytest.importorskip('safetensors')
    first = tiny_runner(tmp_path, dict(safetensors=True), epochs=1)
    first.train()
    second = tiny_runner(tmp_path, epochs=1, load_from=str(tmp_path / 'epoch_1.safetensors'))

    second.load_or_resume()

    states = [runner.model.state_dict() for runner in (first, second)]
    torch.testing.assert_close(*states, rtol=0, atol=0)


def test_damaged_safetensors_are_answered_by_a_sentence(tmp_path):
    pytest.importorskip('safetensors')
    from mmtoken.weights import read_state

    (tmp_path / 'a.safetensors').write_bytes(b'\x08')

    with pytest.raises(UserError, match=r'a\.safetensors cannot be read as weights'):
        read_state(str(tmp_path / 'a.safetensors'))


@pytest.mark.parametrize('asynchronous', [False, True])
def test_two_processes_end_when_the_first_cannot_write(tmp_path, asynchronous):
    def work(rank):
        if rank == 0:
            save_job.write_checkpoint = lambda *args: 1 / 0
        with pytest.raises((UserError, ZeroDivisionError), match='division by zero'):
            tiny_runner(tmp_path / 'run', dict(asynchronous=asynchronous)).train()

    assert run_two(work, tmp_path / 'meeting') == [0, 0]


def test_two_processes_save_as_one(tmp_path):
    def work(rank):
        hook = dict(save_best='acc', max_keep_ckpts=1)
        tiny_runner(tmp_path / 'run', hook, scores=SCORES).train()

    assert run_two(work, tmp_path / 'meeting') == [0, 0]
    assert files(tmp_path / 'run') == ['best_acc_epoch_2.pth', 'epoch_3.pth']


def shard(runner, out_dir, filename, *args, **kwargs):
    """Save as mmengine's FSDP strategy does with sharded state dicts: the first file twice."""
    from mmengine.dist import get_rank
    from mmengine.runner.checkpoint import save_checkpoint

    rank = get_rank()
    checkpoint = dict(meta={}, state_dict=dict(a=torch.full((2,), float(rank))), message_hub={})
    for _ in range(2 - rank):
        save_checkpoint(checkpoint, str(Path(out_dir) / filename / f'rank{rank}.pth'))


@pytest.mark.parametrize('asynchronous', [False, True])
def test_the_files_of_several_processes_are_recorded_when_all_stand(tmp_path, asynchronous):
    run = tmp_path / 'run'

    def work(rank):
        runner = tiny_runner(run, dict(max_keep_ckpts=1, asynchronous=asynchronous), epochs=3)
        runner.save_checkpoint = shard.__get__(runner)
        if rank == 1:
            original = save_job.write_checkpoint

            def write(checkpoint, path):
                if path.parent.name == 'epoch_3.pth':
                    raise UserError('the disk of the second is full')
                original(checkpoint, path)

            save_job.write_checkpoint = write
        with pytest.raises(UserError, match='of the second is full'):
            runner.train()

    assert run_two(work, tmp_path / 'meeting') == [0, 0]
    assert (run / 'last_checkpoint').read_text() == 'epoch_2.pth'
    assert files(run) == [
        'epoch_2.pth',
        *(f'epoch_{n}.pth/rank{r}.pth' for n, r in [(2, 0), (2, 1)]),
        'epoch_3.pth',
        'epoch_3.pth/rank0.pth',
    ]
    assert choose_checkpoint(run).checkpoint == run / 'epoch_2.pth'
    assert read(run / 'epoch_2.pth' / 'rank1.pth')['state_dict']['a'].tolist() == [1, 1]


@pytest.mark.parametrize('asynchronous', [False, True])
def test_a_fully_sharded_run_saves_whole_weights(tmp_path, asynchronous):
    """On processors, where mmengine's strategy has to be told the device."""
    run = tmp_path / 'run'
    hook = dict(max_keep_ckpts=1, save_best='acc', asynchronous=asynchronous)
    wrapper = dict(type='MMFullyShardedDataParallel', device_id=torch.device('cpu'))
    wrapper['use_orig_params'] = True
    strategy = dict(type='FSDPStrategy', model_wrapper=wrapper, state_dict_cfg='full')

    def work(rank):
        options = dict(kind=FlexibleRunner, strategy=strategy, epochs=2)
        tiny_runner(run, hook, scores=SCORES, **options).train()

    assert run_two(work, tmp_path / 'meeting') == [0, 0]
    assert files(run) == ['best_acc_epoch_2.pth', 'epoch_2.pth']
    saved = read(choose_checkpoint(run).checkpoint)
    assert saved['state_dict']['layers.0.weight'].shape == (8, 3)
    assert 'optimizer' in saved
    # Saved again after a validation, when mmengine counts an epoch too many.
    assert (saved['meta']['epoch'], saved['meta']['iter']) == (2, 4)
