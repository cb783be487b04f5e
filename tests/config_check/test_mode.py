"""What --check and its variable make of a config's problems."""

import pytest
from mmengine.config import Config

from mmtoken.config_check.check import check_config
from mmtoken.config_check.files import check_files
from mmtoken.config_check.mode import VARIABLE, check_mode, hand_on, report
from mmtoken.config_check.problem import Problem
from mmtoken.errors import UserError
from mmtoken.runtime.cli import load_config

SURE, UNSURE = Problem('this is wrong'), Problem('this may be wrong', certain=False)
SLIP = 'optim_wraper = dict()\n'
TOOLS = [
    'train.py',
    'test.py',
    'misc/print_config.py',
    'misc/demo.py',
    'analysis_tools/get_flops.py',
    'analysis_tools/rollout_faithfulness.py',
    'analysis_tools/study.py',
    'visualization/browse_dataset.py',
    'visualization/dense_rollout.py',
]
# What some tools cannot do without.
POSITIONAL = {
    'test.py': ['x.pth'],
    'analysis_tools/rollout_faithfulness.py': ['x.pth', '--name', 'x'],
    'visualization/dense_rollout.py': ['x.pth', 'x.png', '--out', 'x'],
}


@pytest.fixture(autouse=True)
def no_variable(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)


@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(SLIP)
    return str(path)


def test_what_is_certain_is_refused_with_the_way_around_it():
    with pytest.raises(UserError, match=r'this is wrong \(--check=warn goes on all the same\)'):
        report([SURE])


def test_what_is_uncertain_is_one_line_on_standard_error(capsys):
    report([UNSURE], prefix='config x: ')

    assert capsys.readouterr().err == 'warning: config x: this may be wrong\n'


def test_only_the_first_process_of_a_machine_warns(capsys, monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '1')

    report([UNSURE])

    assert capsys.readouterr().err == ''


def test_warn_says_everything_once_and_goes_on(capsys):
    report([UNSURE, SURE, SURE], 'warn')

    said = 'warning: this may be wrong\nwarning: this is wrong\n'
    assert capsys.readouterr().err == said


def test_off_looks_for_nothing():
    def find():
        raise AssertionError('looked')
        yield

    report(find(), 'off')


def test_the_variable_decides_where_no_flag_does(monkeypatch):
    monkeypatch.setenv(VARIABLE, 'off')

    assert check_mode() == 'off'
    assert check_mode('warn') == 'warn'


def test_another_value_of_the_variable_is_refused_by_name(monkeypatch):
    monkeypatch.setenv(VARIABLE, 'warning')

    with pytest.raises(UserError, match=f"{VARIABLE} is 'warning'; did you mean 'warn'"):
        check_mode()


def test_a_flag_is_handed_on_and_its_absence_is_not(monkeypatch):
    monkeypatch.setenv(VARIABLE, 'warn')
    hand_on(None)
    assert check_mode() == 'warn'

    hand_on('off')

    assert check_mode() == 'off'


def test_a_config_is_checked_as_the_mode_says(config, capsys):
    check_config(load_config(config), mode='warn')

    assert "'optim_wraper'" in capsys.readouterr().err
    with pytest.raises(UserError, match="'optim_wraper'"):
        check_config(load_config(config), mode='error')


@pytest.mark.parametrize('mode', ['warn', 'off'])
def test_what_a_tool_cannot_do_without_is_refused_in_every_mode(config, mode):
    with pytest.raises(UserError, match='model is missing, and this tool needs it'):
        check_config(load_config(config), needs=('model',), mode=mode)


def test_an_override_out_of_place_is_merged_where_the_mode_says_so(config, capsys):
    cfg = load_config(config, {'lod_from': 1}, 'warn')

    assert cfg.lod_from == 1
    assert "did you mean 'load_from'" in capsys.readouterr().err
    with pytest.raises(UserError, match='--check=warn'):
        load_config(config, {'lod_from': 1}, 'error')


def test_a_missing_file_is_let_pass_where_the_mode_says_so(capsys):
    check_files(Config(dict(load_from='no.pth')), loaders=(), mode='warn')

    assert "checkpoint 'no.pth' does not exist" in capsys.readouterr().err


@pytest.mark.parametrize('tool', TOOLS)
def test_every_tool_that_reads_a_config_takes_the_flag(load_tool, tool):
    config = [] if tool == 'misc/demo.py' else ['config.py']
    arguments = [*config, *POSITIONAL.get(tool, []), '--check=warn']

    assert load_tool(tool).parse_args(arguments).check == 'warn'


def test_a_tool_goes_on_with_a_warning(load_tool, config, capsys):
    load_tool('misc/print_config.py').main([config, '--check=warn'])

    printed = capsys.readouterr()
    assert 'optim_wraper = dict()' in printed.out
    assert printed.err.splitlines()[-1].startswith(f'warning: config {config}: ')


def test_a_tool_obeys_the_variable(load_tool, config, monkeypatch):
    tool = load_tool('misc/print_config.py')
    with pytest.raises(SystemExit):
        tool.main([config])
    monkeypatch.setenv(VARIABLE, 'off')

    tool.main([config])
