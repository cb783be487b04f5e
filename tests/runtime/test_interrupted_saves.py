"""A run that is killed at any step of a save goes on from a good checkpoint."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from tiny_run import die, read, run_apart, tiny_runner

from mmtoken.runtime.resuming.resume_choice import choose_checkpoint, install_resume_choice
from mmtoken.runtime.saving import atomic_saving, save_job
from mmtoken.runtime.saving.atomic_files import PART

install_resume_choice()
RISING = [1.0, 2.0, 3.0, 4.0]


def kill_at(
    owner: object, name: str, nth: int, when: Callable = lambda *args: True, after: bool = False
) -> None:
    """Kill this process before, or after, a function is called the nth time that `when` says so."""
    original, calls = getattr(owner, name), []

    def called(*args, **kwargs):
        if when(*args):
            calls.append(args)
        if len(calls) == nth and not after:
            die()
        result = original(*args, **kwargs)
        if len(calls) == nth:
            die()
        return result

    setattr(owner, name, called)


def kill_half_written(nth: int) -> None:
    """Kill this process within the nth file, of which a part is on the disk."""
    original, files = atomic_saving._Sink.write, []

    def write(sink, data):
        size = original(sink, data)
        if sink not in files:
            files.append(sink)
        if len(files) == nth and sink.size > 2000:
            sink.file.flush()
            die()
        return size

    atomic_saving._Sink.write = write


def is_checkpoint(source: str, target: Path) -> bool:
    return target.suffix == '.pth'


# Which file of a run it happens to is counted; the record is a file, too, and `before_train`
# removes what an earlier kill has left.
POINTS = {
    'opened': lambda nth: kill_at(atomic_saving, '_Sink', nth),
    'half-written': kill_half_written,
    'before-flush': lambda nth: kill_at(atomic_saving, '_verify', nth),
    'before-rename': lambda nth: kill_at(atomic_saving.os, 'replace', nth, is_checkpoint),
    'after-rename': lambda nth: kill_at(atomic_saving.os, 'replace', nth, is_checkpoint, True),
    'before-record': lambda nth: kill_at(save_job, 'record_checkpoint', nth),
    'before-removal': lambda nth: kill_at(save_job.Removals, 'carry_out', nth + 1),
}


def train(folder: Path, point: str, nth: int, **options) -> None:
    POINTS[point](nth)
    tiny_runner(folder, **options).train()


@pytest.mark.parametrize('nth', [1, 2])
@pytest.mark.parametrize('point', POINTS)
def test_one_checkpoint_is_enough(tmp_path, point, nth):
    options = dict(hook=dict(max_keep_ckpts=1))

    assert run_apart(partial(train, tmp_path, point, nth, **options)) == -9

    choice = choose_checkpoint(tmp_path)
    if nth == 1 and point in ('opened', 'half-written', 'before-flush', 'before-rename'):
        assert choice is None
    else:
        assert choice.passed_over == ()
        assert read(choice.checkpoint)['meta']['epoch'] >= nth - 1
    tiny_runner(tmp_path, **options, resume=True).train()
    assert [path.name for path in tmp_path.glob('*.pth')] == ['epoch_3.pth']
    assert list(tmp_path.glob(f'.*{PART}')) == []
    assert (tmp_path / 'last_checkpoint').read_text() == 'epoch_3.pth'


@pytest.mark.parametrize('nth', [4, 5, 6])
@pytest.mark.parametrize('point', [name for name in POINTS if name != 'before-record'])
def test_a_best_checkpoint_is_always_there(tmp_path, point, nth):
    """The fourth to sixth file are the second epoch's, its best one, and the epoch's once more."""
    options = dict(hook=dict(max_keep_ckpts=1, save_best='acc'), scores=RISING)

    assert run_apart(partial(train, tmp_path, point, nth, **options)) == -9

    choice = choose_checkpoint(tmp_path)
    best = read(choice.checkpoint)['message_hub']['runtime_info']['best_ckpt']
    assert Path(best).is_file()
    assert choice.passed_over == ()
    tiny_runner(tmp_path, **{**options, 'scores': RISING[1:]}, resume=True).train()
    left = {path.name for path in tmp_path.glob('*.pth')}
    assert 'epoch_3.pth' in left and left <= {
        'epoch_3.pth',
        *map('best_acc_epoch_{}.pth'.format, (2, 3)),
    }
