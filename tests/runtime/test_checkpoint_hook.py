"""Checkpoints with all arguments of mmengine's hook, in an order in which none is lost."""

import pytest
import torch
from mmengine.hooks import CheckpointHook
from tiny_run import At, checkpoint_names, read, tiny_runner

from mmtoken.errors import UserError
from mmtoken.runtime.guards.signal_hook import SignalHook
from mmtoken.runtime.resuming.resume_choice import install_resume_choice
from mmtoken.runtime.saving.checkpoint_hook import ReliableCheckpointHook
from mmtoken.weights import read_state

install_resume_choice()
SCORES = [1.0, 3.0, 2.0]


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

    assert checkpoint_names(tmp_path / 'ours') == checkpoint_names(tmp_path / 'theirs') != []
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

    assert checkpoint_names(tmp_path / 'after') == ['best_acc_epoch_2.pth', 'epoch_2.pth']


def test_a_copied_run_leaves_the_files_of_its_origin_alone(tmp_path):
    hook = dict(save_best='acc', max_keep_ckpts=1)
    tiny_runner(tmp_path / 'origin', hook, scores=[1.0], epochs=1).train()
    origin = tmp_path / 'origin' / 'epoch_1.pth'
    (tmp_path / 'copy').mkdir()
    (tmp_path / 'copy' / 'epoch_0.pth').touch()

    tiny_runner(
        tmp_path / 'copy', hook, scores=[2.0], epochs=2, resume=True, load_from=str(origin)
    ).train()

    assert checkpoint_names(tmp_path / 'origin') == ['best_acc_epoch_1.pth', 'epoch_1.pth']
    assert 'epoch_0.pth' in checkpoint_names(tmp_path / 'copy')


@pytest.mark.parametrize('save_best', ['acc', ['acc', 'top']], ids=['one', 'two'])
def test_a_copied_run_publishes_no_best_checkpoint_of_its_origin(tmp_path, save_best):
    hook = dict(save_best=save_best, published_keys=['state_dict'])
    tiny_runner(tmp_path / 'origin', hook, scores=[2.0], epochs=1).train()
    before = checkpoint_names(tmp_path / 'origin')
    origin = str(tmp_path / 'origin' / 'epoch_1.pth')

    runner = tiny_runner(
        tmp_path / 'copy', hook, scores=[2.0], epochs=2, resume=True, load_from=origin
    )
    runner.train()

    assert checkpoint_names(tmp_path / 'origin') == before
    assert checkpoint_names(tmp_path / 'copy') == ['epoch_2-digest.pth', 'epoch_2.pth']
    assert 'is not in this folder' in next(tmp_path.glob('copy/*/*.log')).read_text()


def test_a_best_checkpoint_that_takes_the_place_of_its_namesake_stays(tmp_path):
    hook = ReliableCheckpointHook(interval=1, save_best='acc')

    def better_still(runner):
        hook.after_val_epoch(runner, dict(acc=9.0))

    tiny_runner(tmp_path, hook, [At('after_val', better_still)], scores=[1.0], epochs=1).train()

    assert checkpoint_names(tmp_path) == ['best_acc_epoch_1.pth', 'epoch_1.pth']
    info = read(tmp_path / 'epoch_1.pth')['message_hub']['runtime_info']
    assert info['best_score'] == 9


@pytest.mark.parametrize('save_best', ['acc', None])
def test_weights_are_beside_the_best_or_all_checkpoints(tmp_path, save_best):
    hook = dict(safetensors=True, max_keep_ckpts=1, save_best=save_best)
    tiny_runner(tmp_path, hook, scores=SCORES).train()

    (path,) = tmp_path.glob('*.safetensors')
    assert path.stem == ('best_acc_epoch_2' if save_best else 'epoch_3')
    expected = read(path.with_suffix('.pth'))['state_dict']
    torch.testing.assert_close(dict(read_state(str(path))), dict(expected), rtol=0, atol=0)


def test_mmengine_loads_safetensors(tmp_path):
    first = tiny_runner(tmp_path, dict(safetensors=True), epochs=1)
    first.train()
    second = tiny_runner(tmp_path, epochs=1, load_from=str(tmp_path / 'epoch_1.safetensors'))

    second.load_or_resume()

    states = [runner.model.state_dict() for runner in (first, second)]
    torch.testing.assert_close(*states, rtol=0, atol=0)


def test_damaged_safetensors_are_answered_by_a_sentence(tmp_path):
    (tmp_path / 'a.safetensors').write_bytes(b'\x08')

    with pytest.raises(UserError, match=r'a\.safetensors cannot be read as weights'):
        read_state(str(tmp_path / 'a.safetensors'))
