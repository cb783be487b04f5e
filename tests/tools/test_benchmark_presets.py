"""The benchmark's presets: what they time, and that the anchors compute the same."""

import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch import nn

from mmtoken.errors import UserError
from mmtoken.experiments.benchmark_models import load_preset
from mmtoken.experiments.benchmark_rows import Case, Preset, Step
from mmtoken.vit.attention_map import KEPT_KEYS

FOLDER = Path(__file__).parents[2] / 'tools' / 'analysis_tools' / 'benchmarks'


def preset(name: str) -> Preset:
    """A preset by its name."""
    return load_preset(FOLDER / f'{name}.py')


def test_tl_align_preset_names_the_targets():
    found = preset('tl_align')
    assert [row.name for row in found.rows] == ['CutMix', 'TL-Align', 'TL-Align, K channels']
    # 197 and 1,025 tokens
    assert [found.ratios[0].target_at(size) for size, _ in found.cases] == [1.05, 1.15]


@pytest.mark.parametrize('index', range(3))
def test_tl_align_rows_take_a_training_step(index):
    step = Step(preset('tl_align').rows[index], Case(32, 2))
    step.run()
    assert all(p.grad is not None for p in step.model.parameters() if p.requires_grad)


def test_k_channel_anchor_computes_what_tl_align_does():
    ours, anchor = (row.build(48) for row in preset('tl_align').rows[1:])
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
    ratios = preset('rollout').ratios
    found = {(ratio.row, ratio.of): ratio.target for ratio in ratios if ratio.target}
    # 3 forward passes and 2 for each set; a fifth of the memory
    assert found == {
        ('roll-out, 1 set', 'time'): 3 + 2 * 1,
        ('roll-out, 16 sets', 'time'): 3 + 2 * 16,
        ('roll-out, 1 set', 'memory'): 0.2,
        ('roll-out, 16 sets', 'memory'): 0.2,
    }


@pytest.mark.parametrize('index', range(5))
def test_rollout_rows_are_scalars_without_gradients(index):
    step = Step(preset('rollout').rows[index], Case(48, 1, mode='infer'))
    with torch.no_grad():
        found = step.row.loss(step.model, step.images)
    step.run()
    assert found.ndim == 0 and found > 0
    assert all(p.grad is None and p.requires_grad for p in step.model.parameters())


@pytest.mark.parametrize('num_sets', [1, 4])
def test_rollout_anchors_compute_what_the_trace_does(load_tool, num_sets):
    timed = load_tool('analysis_tools/benchmarks/rollout.py')
    model = preset('rollout').rows[0].build(48).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    images = torch.randn(2, 3, 48, 48)
    ours = timed.roll_out(model, images, num_sets)
    for back in (timed.apply_matrices, timed.multiply_matrices):
        torch.testing.assert_close(ours, timed.roll_out(model, images, num_sets, back))


def test_life_preset_names_the_targets():
    found = preset('life')
    assert [row.name for row in found.rows] == ['VisionTransformer', 'TokenViT', 'LIFEViT']
    assert [ratio.target for ratio in found.ratios] == [1.02, 1.12]


@pytest.mark.parametrize('index', range(3))
def test_life_rows_take_a_training_step(index):
    step = Step(preset('life').rows[index], Case(32, 2))
    step.run()
    assert all(p.grad is not None for p in step.model.parameters() if p.requires_grad)


def test_token_label_presets_name_the_targets():
    (step,), (loading, *_) = preset('token_labels').ratios, preset('label_loading').ratios
    assert (step.row, step.base, step.target) == ('token labels', 'image labels', 1.05)
    assert (loading.row, loading.base, loading.target) == ('images and one store', 'images', 1.10)


@pytest.mark.parametrize('index', range(2))
def test_token_label_rows_take_a_training_step(index):
    step = Step(preset('token_labels').rows[index], Case(32, 2))
    step.run()
    assert all(p.grad is not None for p in step.model.parameters() if p.requires_grad)
    assert hasattr(step.model.head.layers, 'aux_head') == bool(index)


def test_label_loading_rows_load_the_same_images_and_maps(monkeypatch):
    monkeypatch.chdir(FOLDER.parents[2])
    steps = [Step(row, Case(32, 3, mode='infer')) for row in preset('label_loading').rows]
    plain, store, files = (step.row.loss(step.model, step.images) for step in steps)
    assert plain == store == files
    one, other = (step.model.loader.dataset[2]['data_samples'] for step in steps[1:])
    assert torch.equal(one.token_label, other.token_label)
    assert torch.equal(one.token_label_ids, other.token_label_ids)


def test_lv_vit_preset_says_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, 'timm', None)
    with pytest.raises(UserError, match='pip install timm'):
        preset('lv_vit').rows[0].build(32)
    step = Step(preset('lv_vit').rows[1], Case(32, 2))
    step.run()
    assert all(p.grad is not None for p in step.model.parameters() if p.requires_grad)


def test_sharing_preset_names_the_targets():
    found = preset('sharing')
    # A layer of 0.90 and 0.95 times a full one's time makes a pair of it and a full one so much.
    targets = {size: found.ratios[0].target_at(size) for size, _ in found.cases}
    assert {size: target for size, target in targets.items() if target} == {224: 0.95, 512: 0.975}
    shares = [row.build(224).layers[1].attn.shares for row in found.rows]
    assert shares == [False, True, True, True]


@pytest.mark.parametrize(('number', 'keeps'), [(1, True), (2, True), (3, False)])
def test_sharing_preset_keeps_maps_as_its_rows_say(number, keeps):
    images, maps, means = torch.randn(2, 3, 64, 64), [], []
    for row in (preset('sharing').rows[1], preset('sharing').rows[number]):
        torch.manual_seed(0)
        model = row.build(64).eval()
        model.layers[1].register_forward_pre_hook(lambda _, args: maps.append(args[0].shared))
        means.append(row.loss(model, images).item())
    assert (maps[1].weights is not None) == keeps
    assert means[0] == pytest.approx(means[1], rel=1e-5)
    assert KEPT_KEYS == {'cpu': 512}


@pytest.mark.parametrize('name', ['sharing', 'psvit'])
def test_rows_of_psvit_take_a_training_step(name):
    for row in preset(name).rows:
        step = Step(row, Case(32, 2))
        step.run()
        trained = [p for p in step.model.parameters() if p.requires_grad]
        assert all(p.grad is not None for p in trained)


@pytest.mark.parametrize('index', range(7))
def test_calibration_rows_take_a_training_step(index):
    row = preset('calibration').rows[index]
    step = Step(row, Case(32, 2))
    step.run()
    assert all(p.grad is not None for p in step.model.parameters() if p.requires_grad)
    assert bool(step.model.active) == (row.name not in ('plain', 'LIFE, plain'))


def test_calibration_preset_names_the_targets():
    found = {ratio.row: ratio.target_at(224) for ratio in preset('calibration').ratios[:6]}
    assert found == {'tokens, later half of the layers': 2.6, 'tokens, half of the batch': None,
                     'tokens, foreground found': 2.6,
                     'tokens, half of the batch, foreground found': 2.6,
                     'dimensions, last layer': 2.2,
                     'LIFE, tokens, later half of the layers': 2.6}  # fmt: skip


def test_both_swins_compute_the_same():
    theirs, ours = (row.build(64) for row in preset('swin').rows)
    theirs.load_state_dict(ours.state_dict())
    for model in (theirs, ours):
        model.eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        for found, expected in zip(ours(images), theirs(images), strict=True):
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize('name', ['life_swin_v2', 'pyramids', 'tl_align_swin'])
def test_rows_of_pyramids_take_a_training_step(name):
    for row in preset(name).rows:
        step = Step(row, Case(256 if name == 'life_swin_v2' else 224, 2))
        step.run()
        assert all(p.grad is not None for p in step.model.parameters() if p.requires_grad)


def test_pyramid_presets_name_the_targets():
    found = {
        name: {(r.row, r.of): r.target for r in preset(name).ratios if r.target}
        for name in ('life_swin_v2', 'pyramids', 'tl_align_swin')
    }
    assert found == {
        'life_swin_v2': {
            ('SwinV2 + LIFE, windows', 'time'): 1.15,
            ('SwinV2 + LIFE, grid', 'time'): 1.15,
        },
        'pyramids': {('I-D convolution', 'memory'): 0.25},
        'tl_align_swin': {('TL-Align', 'time'): 1.05},
    }


@torch.no_grad()
@pytest.mark.parametrize(
    ('name', 'ours', 'anchor', 'size'),
    [
        ('life_swin_v2', 'windows', 'windows, explicit attention', 256),
        ('pyramids', 'I-D-DWNet-T', 'I-D-DWNet-T, unfolded', 64),
    ],
)
def test_anchors_of_pyramids_compute_what_ours_do(name, ours, anchor, size):
    rows = {row.name.removeprefix('SwinV2 + LIFE, '): row for row in preset(name).rows}
    models = [rows[row].build(size).eval() for row in (ours, anchor)]
    for parameter in models[0].parameters():
        nn.init.normal_(parameter, std=0.1)
    models[1].load_state_dict(models[0].state_dict())
    image = torch.randn(1, 3, size, size)
    for found, expected in zip(*(model(image) for model in models), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


# Where the names of others differ from those of TokenViT.
TIMM_NAMES = {
    'patch_embed.proj.': 'patch_embed.projection.', 'blocks.': 'layers.', '.norm1.': '.ln1.',
    '.norm2.': '.ln2.', '.mlp.fc1.': '.ffn.layers.0.0.', '.mlp.fc2.': '.ffn.layers.1.',
}  # fmt: skip


def our_name(name: str) -> str:
    for theirs, ours in TIMM_NAMES.items():
        name = name.replace(theirs, ours)
    return re.sub(r'^norm\.', 'ln1.', name)


@torch.no_grad()
def test_detection_size_anchors_compute_what_ours_do(load_tool, monkeypatch):
    timed = load_tool('analysis_tools/benchmarks/detection_size.py')
    sizes = dict(embed_dims=24, num_layers=3, num_heads=2, feedforward_channels=96)
    monkeypatch.setattr(timed, 'SIZES', sizes)
    monkeypatch.setattr(timed, 'GLOBAL', (2,))
    anchors = [(timed.SAM, timed.OURS), (timed.TIMM, timed.EVERYWHERE)]
    # 32×32 patches, four windows.
    image = torch.randn(1, 3, 512, 512)
    for anchor, ours in anchors[: 1 + bool(find_spec('timm'))]:
        theirs, model = (timed.PRESET.row(name).build(512).eval() for name in (anchor, ours))
        for parameter in theirs.parameters():
            nn.init.normal_(parameter, std=0.1)
        state = {our_name(name): value for name, value in theirs.state_dict().items()}
        # (1, H, W, C) → (1, H·W, C)
        state['pos_embed'] = state['pos_embed'].view_as(model.pos_embed)
        model.load_state_dict(state)
        (out,), expected = model(image), theirs(image)
        if anchor == timed.TIMM:
            out = out.flatten(2).mT
        torch.testing.assert_close(out, expected if anchor == timed.TIMM else expected[0])


def test_detection_size_windows_divide_the_grid():
    found = preset('detection_size')
    ((size, _),) = found.cases
    model = found.row('TokenViT, windows').build(size)

    windowed = [layer.attn.window_size for layer in model.layers]
    assert windowed == [16, 16, 0] * 4
    assert all(side % 16 == 0 for side in model.patch_resolution)


def test_int8_rows_compute_what_torch_does_and_say_by_how_much_they_differ(load_tool, monkeypatch):
    timed = load_tool('analysis_tools/benchmarks/int8.py')
    arch = dict(embed_dims=192, num_layers=1, num_heads=3, feedforward_channels=96)
    monkeypatch.setattr(timed, 'ARCH', arch)
    rows = timed.PRESET.rows[3:]
    images = torch.randn(2, 3, 32, 32)

    exact, same, near = (row.build(32)(images)[0] for row in rows)

    torch.testing.assert_close(same, exact, rtol=0, atol=1e-4)
    error = (near - exact).abs().max()
    assert 1e-4 < error < 0.1 * exact.abs().max()
    said = float(re.search(r'differ by (\S+) at most', rows[2].note(32))[1])
    assert 0.3 * error < said < 3 * error


# What tells how its threads would wait, in place of training.
TELLING = """
import os, sys
for line in sys.stdin:
    open(os.environ['TOLD'], 'a').write(os.environ.get('OMP_WAIT_POLICY', 'unset') + ' ')
    print('done', flush=True)
"""


def test_busy_machine_rows_step_in_processes_that_wait_as_they_say(
    load_tool, monkeypatch, tmp_path
):
    module = load_tool('analysis_tools/benchmarks/busy_machine.py')
    monkeypatch.setattr(module, 'STEPS', TELLING)
    monkeypatch.setenv('TOLD', str(tmp_path / 'told'))
    monkeypatch.setenv('OMP_WAIT_POLICY', 'active')
    steps = [Step(row, Case(32, 2, mode='infer')) for row in module.PRESET.rows]

    for step in steps:
        step.run()

    # Each warms up once, and steps once.
    told = (tmp_path / 'told').read_text().split()
    assert told == 2 * ['unset', 'unset', 'passive', 'passive']


def test_runtime_rows_take_steps():
    step = Step(preset('runtime').row('steps'), Case(32, 2, mode='infer'))

    step.run()
    step.run()

    # Four steps a run.
    assert step.model.runner.iter == 8


def test_runtime_preset_names_the_targets():
    found = {(ratio.row, ratio.base): ratio.target for ratio in preset('runtime').ratios}

    assert found == {
        ('steps with all guards', 'steps'): 1.02,
        ('atomic save', 'torch.save'): 1.3,
        ('asynchronous save', 'torch.save'): 0.1,
    }
