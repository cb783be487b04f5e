"""Several processes save as one, and end together where one of them cannot."""

from pathlib import Path

import pytest
import torch
from mmengine.runner import FlexibleRunner
from tiny_run import At, checkpoint_names, read, run_two, tiny_runner

from mmtoken.errors import UserError
from mmtoken.runtime.resuming.resume_choice import choose_checkpoint, install_resume_choice
from mmtoken.runtime.saving import save_job

install_resume_choice()
SCORES = [1.0, 3.0, 2.0]


@pytest.mark.parametrize('asynchronous', [False, True])
def test_two_processes_end_when_the_first_cannot_write(tmp_path, asynchronous):
    def work(rank):
        if rank == 0:
            save_job.write_checkpoint = lambda *args: 1 / 0
        with pytest.raises((UserError, ZeroDivisionError), match='division by zero'):
            tiny_runner(tmp_path / 'run', dict(asynchronous=asynchronous)).train()

    assert run_two(work, tmp_path / 'meeting') == [0, 0]


def test_two_processes_end_when_a_hook_refuses_what_the_first_saves(tmp_path):
    def work(rank):
        refuse = At('before_save_checkpoint', lambda runner: 1 / 0)
        with pytest.raises((UserError, ZeroDivisionError), match='division by zero'):
            tiny_runner(tmp_path / 'run', hooks=[refuse]).train()

    assert run_two(work, tmp_path / 'meeting') == [0, 0]


def test_two_processes_save_as_one(tmp_path):
    def work(rank):
        hook = dict(save_best='acc', max_keep_ckpts=1)
        tiny_runner(tmp_path / 'run', hook, scores=SCORES).train()

    assert run_two(work, tmp_path / 'meeting') == [0, 0]
    assert checkpoint_names(tmp_path / 'run') == ['best_acc_epoch_2.pth', 'epoch_3.pth']


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
    assert checkpoint_names(run) == [
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
    assert checkpoint_names(run) == ['best_acc_epoch_2.pth', 'epoch_2.pth']
    saved = read(choose_checkpoint(run).checkpoint)
    assert saved['state_dict']['layers.0.weight'].shape == (8, 3)
    assert 'optimizer' in saved
    # Saved again after a validation, when mmengine counts an epoch too many.
    assert (saved['meta']['epoch'], saved['meta']['iter']) == (2, 4)
