"""tools/analysis_tools/benchmark.py: what it is asked, and the files it writes."""

import argparse
import json

import pytest

from mmtoken.errors import UserError


@pytest.fixture
def tool(load_tool):
    """The tool."""
    return load_tool('analysis_tools/benchmark.py')


def modes(tool, *words: str) -> set[str]:
    """The modes of the cases that a command line asks for."""
    args = tool.parse_args(list(words))
    return {case.mode for case in tool.make_cases(args, tool.preset_loader(args)())}


def test_rollout_preset_is_timed_in_inference_only(tool):
    assert modes(tool, '--preset', 'rollout') == {'infer'}
    with pytest.raises(UserError, match='--preset rollout has no --mode train; use infer'):
        modes(tool, '--preset', 'rollout', '--mode', 'train')


def test_every_preset_file_can_be_asked_for(tool):
    assert {name: modes(tool, '--preset', name) for name in tool.PRESETS} == {
        'busy_machine': {'infer'}, 'calibration': {'train'}, 'detection_size': {'infer'},
        'int8': {'infer'}, 'label_loading': {'infer'},
        'life': {'train'}, 'life_swin_v2': {'train'}, 'lv_vit': {'infer'}, 'psvit': {'train'},
        'pyramids': {'train'}, 'rollout': {'infer'}, 'runtime': {'infer'}, 'sharing': {'train'},
        'swin': {'train'}, 'tl_align': {'train'}, 'tl_align_swin': {'train'},
        'token_labels': {'train'},
    }  # fmt: skip


def test_models_are_compared_to_the_first(tool, backbone_config):
    words = ['--models', f'a={backbone_config}', f'b={backbone_config}']
    preset = tool.preset_loader(tool.parse_args(words))()
    assert [(ratio.row, ratio.base) for ratio in preset.ratios] == [('b', 'a')]


@pytest.mark.parametrize(
    ('models', 'message'),
    [
        (['config.py'], "'config.py' is not of the form NAME=CONFIG"),
        (['a=x.py', 'a=y.py'], 'a=x.py a=y.py: two have one name'),
    ],
)
def test_models_that_cannot_be_told_apart_are_refused(tool, models, message):
    with pytest.raises(UserError, match=message):
        tool.preset_loader(tool.parse_args(['--models', *models]))


@pytest.mark.parametrize('text', ['224', '224:0', 'x:8'])
def test_malformed_case_is_refused(tool, text):
    with pytest.raises(argparse.ArgumentTypeError, match='SIZE:BATCH'):
        tool.parse_case(text)


def test_out_keeps_other_entries_and_writes_both_files(tool, backbone_config, tmp_path):
    def bench(mode: str) -> None:
        models = [f'a={backbone_config}', f'b={backbone_config}']
        tool.main(['--models', *models, '--cases', '32:1', '--rounds', '2',
              '--warmup', '0', '--mode', mode, '--device', 'cpu', '--no-memory',
              '--out', str(tmp_path / 'docs' / 'benchmark')])  # fmt: skip

    bench('train')
    bench('infer')
    entries = json.loads((tmp_path / 'docs' / 'benchmark.json').read_text())
    text = (tmp_path / 'docs' / 'benchmark.md').read_text()
    assert list(entries) == ['models, infer, cpu', 'models, train, cpu']
    assert text.count('| b / a |') == 2 and '32 × 32 px, batch 1' in text
