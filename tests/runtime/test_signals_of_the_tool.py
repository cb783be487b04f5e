"""tools/train.py ends by a signal with its exit code, and goes on."""

import os
import signal
from pathlib import Path

import pytest
from tiny_run import run_apart

from mmtoken.runtime.guards.signal_hook import SignalHook

pytestmark = pytest.mark.usefixtures('hear_ctrl_c')

CONFIG = """
_base_ = {base!r}
custom_imports = dict(
    imports=['mmtoken'],
    allow_failed_imports=False)
default_hooks = dict(
    checkpoint=dict(type='mmpretrain.ReliableCheckpointHook', interval=1, max_keep_ckpts=1),
    signal=dict(type='mmpretrain.SignalHook'))
"""


@pytest.mark.parametrize(
    ('numbers', 'code'),
    [
        ([signal.SIGTERM], 143),
        ([signal.SIGUSR1], 138),
        ([signal.SIGINT], 130),
        ([signal.SIGTERM, signal.SIGTERM], -signal.SIGTERM),
    ],
)
def test_the_tool_ends_by_the_signals_code_and_resumes(
    tmp_path, digit_scenes, load_tool, numbers, code
):
    base = Path(__file__).parents[2] / 'configs' / 'digits' / 'deit-d6w96_digits-cls.py'
    config = tmp_path / 'config.py'
    config.write_text(CONFIG.format(base=str(base)))
    options = ['--cfg-options', 'train_cfg.max_epochs=1', 'model.backbone.arch.num_layers=1']
    for name in ('train', 'val', 'test'):
        options.append(f'{name}_dataloader.dataset.data_root={digit_scenes / "classification"}')
        options += [f'{name}_dataloader.{key}' for key in ('num_workers=0', 'persistent_workers=0')]
        options.append(f'{name}_dataloader.batch_size=8')
    command = [str(config), '--work-dir', str(tmp_path / 'run'), '--check', 'off']

    def train():
        sent = SignalHook.before_train

        def send(hook, runner):
            sent(hook, runner)
            for number in numbers:
                os.kill(os.getpid(), number)

        SignalHook.before_train = send
        load_tool('train.py').main([*command, *options])

    assert run_apart(train) == code

    def resume():
        load_tool('train.py').main([*command, '--resume=must', *options])

    if code > 0:
        assert (tmp_path / 'run' / 'last_checkpoint').read_text() == 'iter_1.pth'
        if code == 143:
            assert run_apart(resume) == 0
            assert (tmp_path / 'run' / 'last_checkpoint').read_text() == 'epoch_1.pth'
    else:
        assert run_apart(resume) == 2
