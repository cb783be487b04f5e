"""What of a config asks for a result to be found anew."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmpretrain.registry import HOOKS

from mmtoken.experiments.config_digest import config_digest
from mmtoken.runtime.guards.guard import Guard
from mmtoken.tasks.task import text_digest


@pytest.fixture(scope='module', autouse=True)
def registered_hooks():
    """A guard and a checkpoint hook of our own, as configs name them."""
    for base in (Guard, CheckpointHook):
        HOOKS.register_module(module=type(f'Own{base.__name__}', (base,), {}))
    yield
    for base in (Guard, CheckpointHook):
        del HOOKS._module_dict[f'Own{base.__name__}']


def digest(**changes: object) -> str:
    """The digest of a small config with changes."""
    hooks = dict(timer=dict(type='IterTimerHook'), checkpoint=dict(type='CheckpointHook'))
    custom = [dict(type='EMAHook', momentum=0.1)]
    content = dict(default_hooks=hooks, custom_hooks=custom, lr=0.1) | changes
    return config_digest(Config(content), {})


@pytest.mark.parametrize(
    'changes',
    [
        dict(
            default_hooks=dict(
                timer=dict(type='IterTimerHook'),
                guard=dict(type='mmpretrain.OwnGuard'),
                checkpoint=dict(type='mmpretrain.OwnCheckpointHook'),
            )
        ),
        dict(custom_hooks=[dict(type='EMAHook', momentum=0.1), dict(type=Guard)]),
    ],
)
def test_what_guards_a_run_does_not_count(changes):
    assert digest(**changes) == digest()


@pytest.mark.parametrize(
    'changes',
    [
        dict(lr=0.2),
        dict(default_hooks=dict(timer=dict(type='IterTimerHook'))),
        dict(custom_hooks=[dict(type='EMAHook', momentum=0.2)]),
    ],
)
def test_everything_else_counts(changes):
    assert digest(**changes) != digest()


def test_config_without_guards_has_the_digest_of_its_text():
    cfg = Config(dict(default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=2))))
    assert config_digest(cfg, {}) == text_digest(str(cfg.to_dict()))


def test_config_without_hooks_has_a_digest():
    assert config_digest(Config(dict(lr=1)), {}) == text_digest(str(dict(lr=1)))


def test_files_count_by_their_names():
    one, other = (config_digest(Config(dict(start=f'{place}/a.pth')), {Path(f'{place}/a.pth'): 'a'})
                  for place in ('here', 'there'))  # fmt: skip
    assert one == other
