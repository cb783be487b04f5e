"""A run goes on from the newest checkpoint that can be read, and says which it passed over."""

import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from tiny_run import read, run_two, tiny_runner

from mmtoken.errors import UserError
from mmtoken.runtime.resuming.resume_choice import (
    choose_checkpoint,
    find_together,
    install_resume_choice,
)

install_resume_choice()


@pytest.fixture(scope='module')
def finished(tmp_path_factory) -> Path:
    """The folder of a run of two epochs, with a best checkpoint."""
    folder = tmp_path_factory.mktemp('finished')
    tiny_runner(folder, dict(save_best='acc'), scores=[2.0, 1.0], epochs=2).train()
    return folder


@pytest.fixture
def run(finished, tmp_path) -> Path:
    """A copy of it."""
    return shutil.copytree(finished, tmp_path / 'run')


def cut(share: float) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def flip(near: bytes, offset: int = 0) -> Callable[[Path], None]:
    """Change a bit beside where something stands in the file."""

    def change(path):
        data = bytearray(path.read_bytes())
        data[data.index(near) + offset] ^= 4
        path.write_bytes(data)

    return change


def flip_weight(path):
    weight = read(path)['state_dict']['layers.0.weight'].numpy().tobytes()
    flip(weight, 9)(path)


def empty_zip(path):
    with zipfile.ZipFile(path, 'w'):
        pass


def other_zip(path):
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('archive/data.pkl', 'text')


def folder(*files: str) -> Callable[[Path], None]:
    def replace(path):
        whole = path.read_bytes()
        path.unlink()
        path.mkdir()
        for name in files:
            (path / name).write_bytes(whole)

    return replace


def content(change: Callable[[dict], object]) -> Callable[[Path], None]:
    def rewrite(path):
        checkpoint = read(path)
        changed = change(checkpoint)
        torch.save(checkpoint if changed is None else changed, path)

    return rewrite


class Payload:
    """Pickles as a call."""

    def __reduce__(self):
        return print, ('executed',)


DAMAGES = {
    **{f'cut-{share}': cut(share) for share in (0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999)},
    'empty': cut(0),
    'one-byte-short': lambda path: path.write_bytes(path.read_bytes()[:-1]),
    'zeros': lambda path: path.write_bytes(bytes(path.stat().st_size)),
    'text': lambda path: path.write_text('version https://git-lfs.github.com/spec/v1\n'),
    'html': lambda path: path.write_text('<html>404</html>'),
    'empty-zip': empty_zip,
    'other-zip': other_zip,
    'bit-of-a-weight': flip_weight,
    'bit-of-the-structure': flip(b'state_dict', 3),
    'bit-of-the-directory': flip(b'PK\x01\x02', 20),
    'bit-of-the-end': flip(b'PK\x06\x06', 40),
    'gone': Path.unlink,
    'folder': folder(),
    'folder-of-the-second-process': folder('rank1.pth'),
    'folder-of-others': folder('epoch_2.pth'),
    'no-meta': content(lambda c: c.pop('meta') and None),
    'no-weights': content(lambda c: c.pop('state_dict') and None),
    'no-message-hub': content(lambda c: c.pop('message_hub') and None),
    'no-iteration': content(lambda c: c['meta'].pop('iter') and None),
    'weights-alone': content(lambda c: c['state_dict']),
    'list': content(lambda c: [1, 2]),
    'tensor': content(lambda c: torch.zeros(3)),
    'code': content(lambda c: c.update(code=Payload())),
}


@pytest.mark.parametrize('damage', DAMAGES)
def test_a_damaged_newest_checkpoint_is_passed_over(run, damage, capfd):
    DAMAGES[damage](run / 'epoch_2.pth')

    choice = choose_checkpoint(run)

    assert choice.checkpoint == run / 'epoch_1.pth'
    (reason,) = choice.passed_over
    assert reason.startswith('epoch_2.pth ') and '\n' not in reason
    assert f'{reason}; training goes on from {run / "epoch_1.pth"}' in str(choice)
    assert 'executed' not in capfd.readouterr().out


def test_without_a_good_one_a_sentence_names_all(run):
    for name in ('epoch_1.pth', 'epoch_2.pth'):
        (run / name).write_text('text')

    with pytest.raises(UserError, match=r'no checkpoint to go on from: epoch_2.*; epoch_1.*; name'):
        choose_checkpoint(run)


def test_a_whole_checkpoint_is_taken_as_it_was_recorded(run):
    os.utime(run / 'epoch_1.pth')

    choice = choose_checkpoint(run)

    assert choice.checkpoint == run / 'epoch_2.pth'
    assert choice.passed_over == ()


def test_without_a_record_the_newest_is_taken(run):
    (run / 'last_checkpoint').unlink()
    os.utime(run / 'epoch_1.pth')

    assert choose_checkpoint(run).checkpoint == run / 'epoch_2.pth'


def test_a_best_checkpoint_is_no_way_to_go_on(tmp_path):
    hook = dict(save_best='acc', save_optimizer=False)
    tiny_runner(tmp_path, hook, scores=[1.0, 2.0], epochs=2).train()
    cut(0.5)(tmp_path / 'epoch_2.pth')

    assert choose_checkpoint(tmp_path).checkpoint == tmp_path / 'epoch_1.pth'


def test_checkpoints_may_have_names_of_their_own(tmp_path):
    tiny_runner(tmp_path, dict(filename_tmpl='at_{}.ckpt'), epochs=2).train()
    cut(0.5)(tmp_path / 'at_2.ckpt')

    assert choose_checkpoint(tmp_path).checkpoint == tmp_path / 'at_1.ckpt'


@pytest.mark.parametrize('damage', [Path.unlink, cut(0.5)], ids=['gone', 'cut'])
def test_checkpoints_in_a_folder_of_their_own_are_found(tmp_path, damage):
    out = tmp_path / 'checkpoints'
    tiny_runner(tmp_path / 'run', dict(out_dir=str(out)), epochs=2).train()
    damage(out / 'run' / 'epoch_2.pth')

    found = choose_checkpoint(tmp_path / 'run').checkpoint

    assert found.resolve() == out / 'run' / 'epoch_1.pth'


def test_weights_of_another_origin_are_nothing_to_resume(tmp_path):
    torch.save({'weight': torch.zeros(2)}, tmp_path / 'pretrained.pth')

    assert choose_checkpoint(tmp_path) is None


def test_a_bit_is_looked_for_only_where_the_checkpoint_is_taken(run):
    DAMAGES['bit-of-a-weight'](run / 'epoch_2.pth')

    assert choose_checkpoint(run, thorough=False).checkpoint == run / 'epoch_2.pth'


def test_mmengine_alone_resumes_from_the_one_before(run, monkeypatch, tmp_path):
    cut(0.5)(run / 'epoch_2.pth')
    monkeypatch.chdir(tmp_path)
    runner = tiny_runner(run, epochs=2, resume=True)

    runner.load_or_resume()

    assert (runner.epoch, runner.iter) == (1, 4)


def test_mmengine_alone_resumes_by_a_record_of_its_own(tmp_path):
    hook = CheckpointHook(interval=1)
    tiny_runner(tmp_path / 'before', hook, epochs=1).train()
    (tmp_path / 'before').rename(tmp_path / 'after')
    runner = tiny_runner(tmp_path / 'after', hook, epochs=2, resume=True)

    runner.load_or_resume()

    assert runner.epoch == 1


def test_two_processes_take_what_the_first_one_finds(run, tmp_path):
    elsewhere = tmp_path / 'elsewhere'

    def work(rank):
        found = find_together(str(run if rank == 0 else elsewhere))
        assert found == str(run / 'epoch_2.pth')

    assert run_two(work, tmp_path / 'meeting') == [0, 0]


def test_two_processes_end_together_where_the_first_finds_none(run, tmp_path):
    for name in ('epoch_1.pth', 'epoch_2.pth'):
        (run / name).write_text('text')

    def work(rank):
        with pytest.raises(UserError, match='no checkpoint to go on from'):
            find_together(str(run))

    assert run_two(work, tmp_path / 'meeting') == [0, 0]


def test_resume_must_fails_without_a_checkpoint(load_tool, tmp_path):
    cfg = Config(dict(work_dir=str(tmp_path), launcher='none', load_from=None))

    with pytest.raises(UserError, match='--resume=must: there is no checkpoint in'):
        load_tool('train.py').apply_resume(cfg, 'must')


@pytest.mark.parametrize('resume', ['auto', 'must'])
def test_the_tool_says_what_it_passed_over(load_tool, run, capsys, resume):
    cut(0.5)(run / 'epoch_2.pth')
    cfg = Config(dict(work_dir=str(run), launcher='none', load_from='weights.pth'))

    load_tool('train.py').apply_resume(cfg, resume)

    assert (cfg.resume, cfg.load_from) == (True, str(run / 'epoch_1.pth'))
    said = capsys.readouterr().out
    assert 'resume: epoch_2.pth cannot be resumed (' in said
    assert f'training goes on from {run / "epoch_1.pth"}' in said


def test_several_processes_leave_the_choice_to_the_first(load_tool, run):
    cfg = Config(dict(work_dir=str(run), launcher='pytorch', load_from='weights.pth'))

    load_tool('train.py').apply_resume(cfg, 'auto')

    assert (cfg.resume, cfg.load_from) == (True, None)
