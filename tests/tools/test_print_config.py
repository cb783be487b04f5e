"""tools/misc/print_config.py."""

from pathlib import Path

import pytest
from mmengine.config import Config

CONFIG = str(Path(__file__).parents[2] / 'configs' / 'digits' / 'life-d6w96_digits-cls.py')


def test_prints_what_was_inherited_and_overridden(load_tool, capsys):
    load_tool('misc/print_config.py').main([CONFIG, '--cfg-options', 'train_cfg.max_epochs=5'])

    printed = capsys.readouterr().out
    assert "type='LIFEViT'" in printed
    assert 'max_epochs=5' in printed


def test_saves_a_config_that_reads_the_same(load_tool, tmp_path):
    saved = tmp_path / 'saved.py'

    load_tool('misc/print_config.py').main([CONFIG, '--save-path', str(saved)])

    assert Config.fromfile(saved).model == Config.fromfile(CONFIG).model


def test_refuses_an_ending_it_cannot_write(load_tool, capsys):
    with pytest.raises(SystemExit) as exit_:
        load_tool('misc/print_config.py').main([CONFIG, '--save-path', 'config.txt'])

    assert exit_.value.code == 2
    assert "'config.txt' must end in" in capsys.readouterr().err
