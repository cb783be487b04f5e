"""A runner built quietly: tables are in its log file, warnings and the run on the terminal."""

import logging
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.model import BaseModel
from mmengine.registry import MODELS, RUNNERS
from mmengine.runner import Runner
from torch import nn

from mmtoken.runtime.quiet import build_runner


@MODELS.register_module()
class LoudModel(BaseModel):
    """Says something while it is built."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Linear(1, 1)
        print_log('an aside of the model', logger='current')
        print_log('a warning of the model', logger='current', level=logging.WARNING)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return inputs


@RUNNERS.register_module()
class OwnRunner(Runner):
    """A runner of a user's own."""


def config(folder: Path, **changes) -> Config:
    """A config of nothing but the loud model."""
    content = dict(model=dict(type='LoudModel'), work_dir=str(folder), experiment_name=folder.name)
    return Config({**content, **changes})


def log_of(folder: Path) -> str:
    """What stands in a run's log file."""
    (log,) = folder.glob('*/*.log')
    return log.read_text()


def test_what_is_told_while_it_is_built_is_in_the_log_alone(tmp_path, capsys):
    build_runner(config(tmp_path))

    told = ('an aside of the model', 'System environment:', 'Hooks will be executed')
    shown, log = capsys.readouterr().out, log_of(tmp_path)
    assert [text for text in told if text in shown] == []
    assert [text for text in told if text not in log] == []


def test_warnings_are_shown(tmp_path, capsys):
    build_runner(config(tmp_path))

    assert 'a warning of the model' in capsys.readouterr().out


def test_groups_of_parameters_are_in_the_log_alone(tmp_path, capsys):
    runner = build_runner(config(tmp_path))
    halved = dict(custom_keys=dict(weight=dict(lr_mult=0.5)))

    runner.build_optim_wrapper(dict(optimizer=dict(type='SGD', lr=1.0), paramwise_cfg=halved))

    assert 'paramwise_options' not in capsys.readouterr().out
    assert 'paramwise_options' in log_of(tmp_path)


def test_the_run_is_shown(tmp_path, capsys):
    build_runner(config(tmp_path)).logger.info('Epoch(train) [1]')

    assert 'Epoch(train) [1]' in capsys.readouterr().out


def test_the_place_of_the_log_is_shown(tmp_path, capsys):
    build_runner(config(tmp_path))

    (log,) = tmp_path.glob('*/*.log')
    assert capsys.readouterr().out.splitlines()[0].endswith(f': {log}')


@pytest.mark.parametrize('asked', [True, False])
def test_the_config_is_shown_to_who_asks(tmp_path, capsys, asked):
    build_runner(config(tmp_path), print_config=asked)

    assert ('experiment_name = ' in capsys.readouterr().out) == asked


def test_the_runner_of_a_config_is_built(tmp_path):
    assert isinstance(build_runner(config(tmp_path, runner_type='OwnRunner')), OwnRunner)
