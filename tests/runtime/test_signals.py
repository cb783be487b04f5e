"""A run that is asked to end saves at the next step, and goes on from there."""

import os
import signal
import sys
from pathlib import Path

import pytest
from mmengine.hooks import CheckpointHook, EMAHook, Hook
from tiny_run import read, run_apart, run_two, tiny_runner

from mmtoken.runtime.guards.signal_hook import SIGNALS, SignalHook
from mmtoken.runtime.resuming.resume_choice import choose_checkpoint

pytestmark = pytest.mark.usefixtures('hear_ctrl_c')


class Send(Hook):
    """Sends this process signals at a place of its run."""

    def __init__(self, place, at, *numbers):
        self.at, self.numbers = at, numbers
        setattr(self, place, self.send)

    def send(self, runner, *args, **kwargs):
        if (runner.epoch, runner.iter) == self.at:
            for number in self.numbers:
                signal.raise_signal(number)


def stop(folder: Path, *hooks: Hook, **options) -> int:
    """Train until the signal hook ends the run; its exit code."""
    options = {'hook': dict(max_keep_ckpts=2), **options}
    with pytest.raises(SystemExit) as stopped:
        tiny_runner(folder, hooks=[*hooks, SignalHook()], **options).train()
    return stopped.value.code


@pytest.mark.parametrize('number', SIGNALS)
def test_a_signal_saves_the_step_it_came_in(tmp_path, number):
    code = stop(tmp_path, Send('before_train_iter', (1, 5), number))

    assert code == 128 + number
    saved = choose_checkpoint(tmp_path).checkpoint
    assert saved.name == 'iter_6.pth'
    meta = read(saved)['meta']
    assert (meta['epoch'], meta['iter']) == (1, 6)


def test_the_sentence_names_the_checkpoint_and_the_command(tmp_path, run_log, monkeypatch, capfd):
    monkeypatch.setattr(sys, 'argv', ['tools/train.py', 'a config.py'])

    stop(tmp_path, Send('before_train_iter', (1, 5), signal.SIGTERM))

    said = capfd.readouterr()
    assert 'SIGTERM: the run saves and ends at the next step' in said.err
    (sentence,) = [line for line in (said.out + said.err).splitlines() if 'go on with' in line]
    assert sentence.endswith(
        f'SIGTERM: the run ends after iteration 6, which {tmp_path / "iter_6.pth"} holds; '
        "go on with: python tools/train.py 'a config.py' --resume"
    )


def test_the_saved_step_counts_among_the_kept(tmp_path):
    stop(tmp_path, Send('before_train_iter', (2, 9), signal.SIGTERM))
    assert {path.name for path in tmp_path.glob('*.pth')} == {'epoch_2.pth', 'iter_10.pth'}

    tiny_runner(tmp_path, dict(max_keep_ckpts=2), epochs=4, resume=True, load_from=None).train()

    assert {path.name for path in tmp_path.glob('*.pth')} == {'epoch_3.pth', 'epoch_4.pth'}


def test_the_last_step_of_an_epoch_is_saved_as_the_epoch(tmp_path):
    stop(tmp_path, Send('before_train_iter', (1, 7), signal.SIGTERM))

    saved = choose_checkpoint(tmp_path).checkpoint
    assert saved.name == 'epoch_2.pth'
    assert read(saved)['param_schedulers'][0]['last_step'] == 2


def test_a_run_without_epochs_saves_its_iteration(tmp_path):
    stop(tmp_path, Send('before_train_iter', (0, 5), signal.SIGTERM), iterations=12)

    saved = choose_checkpoint(tmp_path).checkpoint
    assert saved.name == 'iter_6.pth'
    assert read(saved)['meta']['iter'] == 6
    assert read(saved)['param_schedulers'][0]['last_step'] == 6


def test_a_signal_is_answered_by_a_checkpoint_without_a_hook_for_them(tmp_path):
    default_hooks = dict(checkpoint=None)

    stop(tmp_path, Send('before_train_iter', (1, 5), signal.SIGTERM), default_hooks=default_hooks)

    assert choose_checkpoint(tmp_path).checkpoint.name == 'iter_6.pth'


@pytest.mark.parametrize('iterations', [0, 12])
def test_beside_mmengines_hook_files_are_kept_as_it_would(tmp_path, iterations):
    def hook():
        folder, by_epoch = str(tmp_path / 'out'), not iterations
        return CheckpointHook(interval=1, by_epoch=by_epoch, max_keep_ckpts=2, out_dir=folder)

    send = Send('before_train_iter', (0, 9) if iterations else (2, 9), signal.SIGTERM)
    stop(tmp_path / 'run', send, hook=hook(), iterations=iterations)

    folder = tmp_path / 'out' / 'run'
    kept = {'iter_9.pth', 'iter_10.pth'} if iterations else {'epoch_2.pth', 'iter_10.pth'}
    assert {path.name for path in folder.glob('*.pth')} == kept
    assert not [*(tmp_path / 'run').glob('*.pth')]
    more = dict(epochs=5, resume=True, load_from=None)
    tiny_runner(tmp_path / 'run', hook(), iterations=iterations, **more).train()
    # mmengine knows no file of an iteration among those of epochs.
    ends = ['iter_11.pth', 'iter_12.pth'] if iterations else ['epoch_4.pth', 'epoch_5.pth']
    assert {path.name for path in folder.glob('*.pth')} - {'iter_10.pth'} == {*ends}
    assert (folder / 'iter_10.pth').exists() == (not iterations)


def test_beside_mmengines_hook_a_validation_is_saved_where_its_step_was_not(tmp_path):
    send = Send('before_val_epoch', (2, 8), signal.SIGTERM)

    stop(tmp_path, send, scores=[0.0, 1.0], hook=CheckpointHook(interval=3, by_epoch=False))

    assert (tmp_path / 'last_checkpoint').read_text() == 'iter_8.pth'


def test_beside_mmengines_hook_a_validation_forgets_no_file(tmp_path):
    send = Send('before_val_epoch', (2, 8), signal.SIGTERM)

    stop(tmp_path, EMAHook(), send, scores=[0.0, 1.0], hook=CheckpointHook(1, max_keep_ckpts=2))

    hub = read(tmp_path / 'epoch_2.pth')['message_hub']
    assert hub['runtime_info']['keep_ckpt_ids'] == [1, 2]


def test_a_background_write_is_waited_for(tmp_path):
    stop(tmp_path, Send('before_train_iter', (1, 5), signal.SIGTERM), hook=dict(asynchronous=True))

    assert (tmp_path / 'last_checkpoint').read_text() == 'iter_6.pth'


class CountValidation(Hook):
    def __init__(self):
        self.steps = 0

    def after_val_iter(self, runner, *args, **kwargs):
        self.steps += 1


def test_a_validation_is_left_where_its_step_was_saved(tmp_path):
    counted, inodes = CountValidation(), []

    class Look(Hook):
        def before_val(self, runner):
            inodes.append((tmp_path / 'epoch_1.pth').stat().st_ino)

    send = Send('before_val_epoch', (1, 4), signal.SIGTERM)
    stop(tmp_path, counted, Look(), send, scores=[1.0])

    assert counted.steps == 1
    assert (tmp_path / 'last_checkpoint').read_text() == 'epoch_1.pth'
    assert [(tmp_path / 'epoch_1.pth').stat().st_ino] == inodes


@pytest.mark.parametrize(
    ('hooks', 'steps'), [([], 1), ([EMAHook()], 4)], ids=['weights', 'averaged-weights']
)
def test_a_validation_is_saved_where_its_step_was_not(tmp_path, hooks, steps):
    counted = CountValidation()
    hook = dict(interval=2, max_keep_ckpts=2)
    send = Send('before_val_epoch', (1, 4), signal.SIGTERM)

    stop(tmp_path, *hooks, counted, send, scores=[1.0], hook=hook)

    assert counted.steps == steps
    saved = read(choose_checkpoint(tmp_path).checkpoint)
    assert (saved['meta']['epoch'], saved['meta']['iter']) == (1, 4)
    plain = read_after_an_epoch(tmp_path / 'plain', hooks)
    for name in ('state_dict', 'ema_state_dict'):
        for key, value in plain.get(name, {}).items():
            assert value.equal(saved[name][key])


def read_after_an_epoch(folder, hooks):
    tiny_runner(folder, hooks=[type(hook)() for hook in hooks], epochs=1).train()
    return read(folder / 'epoch_1.pth')


@pytest.mark.parametrize(
    ('numbers', 'code'),
    [
        ((signal.SIGTERM, signal.SIGTERM), -signal.SIGTERM),
        ((signal.SIGINT, signal.SIGUSR1), -signal.SIGUSR1),
    ],
)
def test_a_second_signal_ends_it_at_once(tmp_path, numbers, code):
    send = Send('before_train_iter', (1, 5), *numbers)

    assert run_apart(lambda: stop(tmp_path, send)) == code
    assert (tmp_path / 'last_checkpoint').read_text() == 'epoch_1.pth'


def test_a_second_ctrl_c_is_a_keyboard_interrupt(tmp_path):
    send = Send('before_train_iter', (1, 5), signal.SIGINT, signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        tiny_runner(tmp_path, hooks=[send, SignalHook()]).train()


def test_torchrun_repeating_a_signal_is_no_second_one(tmp_path, monkeypatch):
    monkeypatch.setenv('TORCHELASTIC_RUN_ID', 'none')
    twice = Send('before_train_iter', (1, 5), signal.SIGINT, signal.SIGINT)
    thrice = Send('before_train_iter', (1, 5), *[signal.SIGINT] * 3)

    assert stop(tmp_path / 'twice', twice) == 130
    with pytest.raises(KeyboardInterrupt):
        tiny_runner(tmp_path / 'thrice', hooks=[thrice, SignalHook()]).train()


def test_what_slurm_sends_to_processes_and_script_is_no_second_signal(tmp_path):
    send = Send('before_train_iter', (1, 5), signal.SIGTERM, signal.SIGUSR1)
    runner = tiny_runner(tmp_path, hooks=[send, SignalHook()])
    runner.cfg.launcher = 'slurm'

    with pytest.raises(SystemExit) as stopped:
        runner.train()

    assert stopped.value.code == 143


def test_the_handlers_of_before_are_back_after_a_run_and_after_an_error(tmp_path):
    before = [signal.getsignal(number) for number in SIGNALS]
    during = []

    class Look(Hook):
        def after_train_iter(self, runner, *args, **kwargs):
            during.append([signal.getsignal(number) for number in SIGNALS])
            if runner.epoch == 1:
                raise RuntimeError('elsewhere')

    tiny_runner(tmp_path, hooks=[Look(), SignalHook()], epochs=1).train()
    assert [signal.getsignal(number) for number in SIGNALS] == before
    with pytest.raises(RuntimeError, match='elsewhere'):
        tiny_runner(tmp_path, hooks=[Look(), SignalHook()]).train()

    assert [signal.getsignal(number) for number in SIGNALS] == before
    assert not set(before) & {handler for handlers in during for handler in handlers}


def test_an_ignored_signal_stays_ignored(tmp_path):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        send = Send('before_train_iter', (0, 1), signal.SIGINT)
        tiny_runner(tmp_path, hooks=[send, SignalHook()], epochs=1).train()
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize('place', ['before_train_iter', 'before_val_epoch'])
def test_a_signal_to_one_of_two_processes_ends_both_at_the_same_step(tmp_path, place):
    at = {'before_train_iter': (1, 5), 'before_val_epoch': (1, 4)}[place]

    def work(rank):
        send = [Send(place, at, signal.SIGTERM)] if rank == 1 else []
        ended = Ended()
        assert stop(tmp_path / 'run', *send, ended, scores=[1.0, 2.0, 3.0], items=32) == 143
        (tmp_path / f'rank{rank}').write_text(str(ended.step))

    assert run_two(work, tmp_path / 'meeting') == [0, 0]
    steps = [(tmp_path / f'rank{rank}').read_text() for rank in range(2)]
    assert steps[0] == steps[1]
    saved = read(choose_checkpoint(tmp_path / 'run').checkpoint)['meta']
    # What is sent is read a step later.
    assert (saved['epoch'], saved['iter']) == ((1, 7) if at == (1, 5) else (1, 4))


class Ended(Hook):
    """The last step that was begun."""

    def before_train_iter(self, runner, *args, **kwargs):
        self.step = runner.iter


def test_a_signal_to_the_whole_group_spares_the_workers(tmp_path):
    def work():
        os.setsid()
        hook = Send('before_train_iter', (1, 5))
        hook.send = hook.before_train_iter = lambda runner, *args, **kwargs: (
            runner.iter == 5 and os.killpg(0, signal.SIGINT)
        )
        assert stop(tmp_path, hook, workers=2) == 130

    assert run_apart(work) == 0
    assert (tmp_path / 'last_checkpoint').read_text() == 'iter_6.pth'
