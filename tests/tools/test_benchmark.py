"""The benchmark's structure, on tiny models; never its times."""

import argparse
import json
from pathlib import Path

import pytest
import torch
from torch import nn

from mmtoken.errors import UserError

REPO = Path(__file__).parents[2]
CONFIG = """
default_scope = 'mmpretrain'
custom_imports = dict(imports=['mmtoken'], allow_failed_imports=False)
model = dict(backbone=dict(
    type='TokenViT', img_size=32, patch_size=8, init_cfg=dict(type='Pretrained', checkpoint='no'),
    arch=dict(embed_dims=24, num_layers=1, num_heads=3, feedforward_channels=24)))
"""


@pytest.fixture(autouse=True)
def tools_path(monkeypatch):
    """Let the tool's siblings be imported, as they are when it runs as a script."""
    monkeypatch.syspath_prepend(str(REPO / 'tools' / 'analysis_tools'))


@pytest.fixture
def config(tmp_path) -> str:
    """A config with a tiny backbone."""
    path = tmp_path / 'tiny.py'
    path.write_text(CONFIG)
    return str(path)


class Recorder(nn.Module):
    """Notes its name whenever it is called."""

    def __init__(self, name: str, calls: list[str]) -> None:
        super().__init__()
        self.name, self.calls, self.scale = name, calls, nn.Linear(1, 1)

    def forward(self, images):
        self.calls.append(self.name)
        return (self.scale(images.mean().view(1, 1)),)


def recorder_rows(names: str, calls: list[str]):
    """Rows that note their name in ``calls``."""
    from mmtoken.experiments.benchmark_presets import backbone_loss
    from mmtoken.experiments.benchmark_rows import Row

    return [Row(n, lambda size, n=n: Recorder(n, calls), backbone_loss) for n in names]


def test_rows_are_interleaved_in_rotating_order():
    from benchmark import time_rows

    from mmtoken.experiments.benchmark_rows import Case

    calls: list[str] = []
    time_rows(recorder_rows('abc', calls), Case(4, 1), rounds=2, warmup=1)
    assert ''.join(calls) == 'abc' + 'bca' + 'cab'


def test_warmup_is_not_counted():
    from benchmark import time_rows

    from mmtoken.experiments.benchmark_rows import Case

    seconds = time_rows(recorder_rows('ab', []), Case(4, 1), rounds=3, warmup=2)
    assert {name: len(values) for name, values in seconds.items()} == {'a': 3, 'b': 3}


def test_training_step_leaves_gradients():
    from mmtoken.experiments.benchmark_rows import Case, Step

    step = Step(recorder_rows('a', [])[0], Case(4, 1))
    step.run()
    assert step.model.scale.weight.grad is not None


def test_optimizer_changes_the_weights():
    from mmtoken.experiments.benchmark_rows import Case, Step

    step = Step(recorder_rows('a', [])[0], Case(4, 1, optimizer=True))
    before = step.model.scale.weight.clone()
    step.run()
    assert not step.model.scale.weight.equal(before)


def test_inference_needs_no_gradients():
    from mmtoken.experiments.benchmark_rows import Case, Step

    step = Step(recorder_rows('a', [])[0], Case(4, 1, mode='infer'))
    step.run()
    assert step.model.scale.weight.grad is None and not step.model.training


def test_ratios_are_taken_within_a_round():
    from benchmark import compare

    from mmtoken.experiments.benchmark_rows import Preset, Ratio

    preset = Preset('t', [], [Ratio('b', 'a', 1.5)])
    # ratios 2, 1, 3: the median of ratios, not the ratio of medians (4 / 2)
    found = compare(preset, {'a': [1.0, 4.0, 2.0], 'b': [2.0, 4.0, 6.0]}, {}, 224)[0]
    assert (found['low'], found['median'], found['high']) == (1.5, 2.0, 2.5)
    assert found['target'] == 1.5


@pytest.mark.parametrize(('memory', 'medians'), [({'a': 10.0, 'b': 5.0}, [0.5]), ({}, [])])
def test_peak_memory_is_compared_where_it_was_measured(memory, medians):
    from benchmark import compare

    from mmtoken.experiments.benchmark_rows import Preset, Ratio

    preset = Preset('t', [], [Ratio('b', 'a', 0.2, of='memory')])
    found = compare(preset, {'a': [1.0], 'b': [1.0]}, memory, 224)
    assert [ratio['median'] for ratio in found] == medians


def test_target_may_depend_on_the_image_size():
    from mmtoken.experiments.benchmark_rows import Ratio

    ratio = Ratio('b', 'a', {224: 1.05})
    assert [ratio.target_at(size) for size in (224, 512)] == [1.05, None]


def test_tl_align_preset_names_the_targets():
    from mmtoken.experiments.benchmark_presets import PRESETS

    preset = PRESETS['tl_align']()
    assert [row.name for row in preset.rows] == ['CutMix', 'TL-Align', 'TL-Align, K channels']
    # 197 and 1,025 tokens
    assert [preset.ratios[0].target_at(size) for size, _ in preset.cases] == [1.05, 1.15]


@pytest.mark.parametrize('index', range(3))
def test_tl_align_rows_take_a_training_step(index):
    from mmtoken.experiments.benchmark_presets import PRESETS
    from mmtoken.experiments.benchmark_rows import Case, Step

    step = Step(PRESETS['tl_align']().rows[index], Case(32, 2))
    step.run()
    assert all(p.grad is not None for p in step.model.parameters() if p.requires_grad)


def test_k_channel_anchor_computes_what_tl_align_does():
    from mmtoken.experiments.benchmark_presets import PRESETS

    ours, anchor = (row.build(48) for row in PRESETS['tl_align']().rows[1:])
    for parameter in ours.parameters():
        nn.init.normal_(parameter, std=0.1)
    anchor.load_state_dict(ours.state_dict())
    scores = nn.functional.one_hot(torch.arange(3), 1000).float()
    mixed = ours.mixer.mix(torch.randn(3, 3, 48, 48))
    losses = []
    for model in (ours, anchor):
        losses.append(model.mixed_loss(mixed, scores)['loss'])
        losses[-1].backward()
    torch.testing.assert_close(*losses)
    for p, q in zip(ours.parameters(), anchor.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-3, atol=1e-5)


def test_rollout_preset_names_the_targets():
    from mmtoken.experiments.benchmark_presets import PRESETS

    preset = PRESETS['rollout']()
    found = {(ratio.row, ratio.of): ratio.target for ratio in preset.ratios if ratio.target}
    # 3 forward passes and 2 for each set; a fifth of the memory
    assert found == {
        ('roll-out, 1 set', 'time'): 3 + 2 * 1,
        ('roll-out, 16 sets', 'time'): 3 + 2 * 16,
        ('roll-out, 1 set', 'memory'): 0.2,
        ('roll-out, 16 sets', 'memory'): 0.2,
    }


@pytest.mark.parametrize('index', range(5))
def test_rollout_rows_are_scalars_without_gradients(index):
    from mmtoken.experiments.benchmark_presets import PRESETS
    from mmtoken.experiments.benchmark_rows import Case, Step

    step = Step(PRESETS['rollout']().rows[index], Case(48, 1, mode='infer'))
    with torch.no_grad():
        found = step.row.loss(step.model, step.images)
    step.run()
    assert found.ndim == 0 and found > 0
    assert all(p.grad is None and p.requires_grad for p in step.model.parameters())


@pytest.mark.parametrize('num_sets', [1, 4])
def test_rollout_anchors_compute_what_the_trace_does(num_sets):
    from mmtoken.experiments.benchmark_presets import PRESETS
    from mmtoken.experiments.benchmark_rollout import apply_matrices, multiply_matrices, roll_out

    model = PRESETS['rollout']().rows[0].build(48).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    images = torch.randn(2, 3, 48, 48)
    ours = roll_out(model, images, num_sets)
    for back in (apply_matrices, multiply_matrices):
        torch.testing.assert_close(ours, roll_out(model, images, num_sets, back))


def test_rollout_preset_is_timed_in_inference_only():
    from benchmark import make_preset, parse_args

    args = parse_args(['--preset', 'rollout'])
    make_preset(args)
    assert args.mode == 'infer'
    with pytest.raises(UserError, match='--preset rollout has no --mode train; use infer'):
        make_preset(parse_args(['--preset', 'rollout', '--mode', 'train']))


def test_life_preset_names_the_targets():
    from mmtoken.experiments.benchmark_presets import PRESETS

    preset = PRESETS['life']()
    assert [row.name for row in preset.rows] == ['VisionTransformer', 'TokenViT', 'LIFEViT']
    assert [ratio.target for ratio in preset.ratios] == [1.02, 1.12]


@pytest.mark.parametrize('index', range(3))
def test_life_rows_take_a_training_step(index):
    from mmtoken.experiments.benchmark_presets import PRESETS
    from mmtoken.experiments.benchmark_rows import Case, Step

    step = Step(PRESETS['life']().rows[index], Case(32, 2))
    step.run()
    assert all(p.grad is not None for p in step.model.parameters() if p.requires_grad)


def test_models_are_compared_to_the_first(config):
    from benchmark import make_preset, parse_args

    preset = make_preset(parse_args(['--models', f'a={config}', f'b={config}']))
    assert [(ratio.row, ratio.base) for ratio in preset.ratios] == [('b', 'a')]


def test_pretrained_weights_are_not_loaded(config):
    from mmtoken.experiments.benchmark_presets import build_backbone

    assert build_backbone(config, 64).init_cfg is None


def test_config_without_backbone_is_refused(tmp_path):
    from mmtoken.experiments.benchmark_presets import build_backbone

    (tmp_path / 'a.py').write_text('model = dict(type="X")')
    with pytest.raises(UserError, match=r'has no model\.backbone'):
        build_backbone(str(tmp_path / 'a.py'), 64)


def test_malformed_model_is_refused():
    from benchmark import make_preset, parse_args

    with pytest.raises(UserError, match='NAME=CONFIG'):
        make_preset(parse_args(['--models', 'config.py']))


@pytest.mark.parametrize('text', ['224', '224:0', 'x:8'])
def test_malformed_case_is_refused(text):
    from benchmark import parse_case

    with pytest.raises(argparse.ArgumentTypeError, match='SIZE:BATCH'):
        parse_case(text)


def test_out_keeps_other_entries_and_writes_both_files(config, tmp_path, capsys):
    from benchmark import main

    def bench(mode: str) -> None:
        main(['--models', f'a={config}', f'b={config}', '--cases', '32:1', '--rounds', '2',
              '--warmup', '0', '--mode', mode, '--device', 'cpu', '--no-memory',
              '--out', str(tmp_path / 'docs' / 'benchmark')])  # fmt: skip

    bench('train')
    bench('infer')
    entries = json.loads((tmp_path / 'docs' / 'benchmark.json').read_text())
    text = (tmp_path / 'docs' / 'benchmark.md').read_text()
    assert list(entries) == ['models, infer, cpu', 'models, train, cpu']
    assert text.count('| b / a |') == 2 and '32 × 32 px, batch 1' in text


def test_peak_memory_is_measured_in_its_own_process(config):
    from mmtoken.experiments.benchmark_presets import config_preset
    from mmtoken.experiments.benchmark_rows import Case, peak_memory

    row = config_preset({'a': config}).rows[0]
    assert peak_memory(row, Case(32, 64), threads=1) > 0
