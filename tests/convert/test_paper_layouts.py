"""Files as the papers' own code writes them become ours, and compute what they computed there."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import mmpretrain
import pytest
import timm
import torch
from foreign_models import apart, build_converted, largest_difference, randomize, tokens_of_layers
from mmpretrain.registry import MODELS
from references import read_reference
from timm.models.eva import checkpoint_filter_fn as filter_eva
from timm.models.vision_transformer import checkpoint_filter_fn as filter_vit
from timm_models import (
    GRID,
    HEADS,
    PEERS,
    as_dinov2,
    as_dinov3,
    as_mae,
    other_sizes,
    stretched_like_dinov2,
    tokens_of_blocks,
)
from weights_table import Row

from mmtoken.convert.conversion import NO_HINTS, Hints
from mmtoken.convert.describe_swin import describe_swin
from mmtoken.convert.recognise import convert
from mmtoken.convert.rules import Renamed
from mmtoken.swin import SwinV2

KEYS = Path(__file__).resolve().parents[1] / 'data' / 'references' / 'lv_vit_s_keys.txt'
HINTS = Hints(num_heads=HEADS)
# The papers' layouts, made of timm's models; what timm itself makes of such files; how positions
# come to other sizes; and whether that is as in timm.
LAYOUTS = {
    'dinov2': ('vit_small_patch14_dinov2', as_dinov2, filter_vit, 'offset'),
    'dinov2 registers': ('vit_small_patch14_reg4_dinov2', as_dinov2, filter_vit, 'antialias'),
    'dinov2 gated': ('vit_giant_patch14_reg4_dinov2', as_dinov2, filter_vit, 'antialias'),
    'dinov3': ('vit_small_patch16_dinov3_qkvb', as_dinov3, filter_eva, None),
    'dinov3 gated': ('vit_small_plus_patch16_dinov3', as_dinov3, filter_eva, None),
    'mae': ('vit_tiny_patch16_224', as_mae, None, None),
}
EVERY_LAYOUT = pytest.mark.parametrize('name', LAYOUTS)
# For which timm has no converter, and whose code knows one size.
EVERY_LAYOUT_BUT_MAE = pytest.mark.parametrize('name', [name for name in LAYOUTS if name != 'mae'])


def build(name):
    """timm's model, a file of the paper's layout, and ours with its weights."""
    peer, write, *_ = LAYOUTS[name]
    model = PEERS[peer].build()
    state = write(model)
    hints = Hints() if name.startswith('dinov3') else HINTS
    return model, state, convert(state, None, hints)


def measure(name, size):
    """The largest difference in what enters the first layer and leaves any of them."""
    model, _, conversion = build(name)
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    if conversion.backbone.get('interpolate_mode') == 'offset' and size[0] != size[1]:
        grid = tuple(side // conversion.backbone['patch_size'] for side in size)
        position = stretched_like_dinov2(model, model.state_dict()['pos_embed'], grid)
        model = timm.create_model(
            PEERS[LAYOUTS[name][0]].model, img_size=size, num_heads=HEADS, embed_dim=64, depth=2,
            num_classes=5,
        )  # fmt: skip
        model.load_state_dict({**build(name)[0].state_dict(), 'pos_embed': position})
        model.eval()
    backbone = build_converted(conversion)
    return apart(tokens_of_layers(backbone, images), tokens_of_blocks(model, images))


@EVERY_LAYOUT
def test_the_family_is_recognised(name):
    _, state, conversion = build(name)

    assert conversion.family == name.split()[0]
    assert conversion.report.keys() == state.keys()


@EVERY_LAYOUT_BUT_MAE
def test_the_layout_is_one_that_timm_reads_the_same(name):
    # A check of the tests themselves: timm's converters know the authors' files.
    model, state, _ = build(name)

    found = LAYOUTS[name][2](state, model)

    for key, value in found.items():
        if key in model.state_dict():
            torch.testing.assert_close(value, model.state_dict()[key], rtol=1e-5, atol=1e-6)


@EVERY_LAYOUT
def test_every_layer_agrees_at_the_training_size(name):
    side = GRID * PEERS[LAYOUTS[name][0]].patch

    assert measure(name, (side, side)) < 1e-5


@EVERY_LAYOUT_BUT_MAE
def test_every_layer_agrees_at_other_sizes(name):
    for size in other_sizes(PEERS[LAYOUTS[name][0]].patch):
        assert measure(name, size) < 1e-5


def test_positions_come_to_other_sizes_as_the_paper_has_them():
    found = {name: build(name)[2].backbone.get('interpolate_mode') for name in LAYOUTS}

    assert found == {name: mode for name, (*_, mode) in LAYOUTS.items()}


def test_blocks_in_chunks_are_those_of_the_same_order():
    model = PEERS['vit_small_patch14_dinov2'].build()

    chunked, plain = (convert(as_dinov2(model, chunks), None, HINTS) for chunks in (True, False))

    assert chunked.state.keys() == plain.state.keys()
    assert torch.equal(
        chunked.state['backbone.layers.1.attn.qkv.weight'],
        plain.state['backbone.layers.1.attn.qkv.weight'],
    )


def test_keys_of_dinov3_have_no_bias_though_the_file_has_one():
    _, state, conversion = build('dinov3')

    assert state['blocks.0.attn.qkv.bias'].chunk(3)[1].all()
    assert not conversion.state['backbone.layers.0.attn.qkv.bias'].chunk(3)[1].any()


def test_heads_and_base_of_dinov3_are_read_off_the_periods():
    state = as_dinov3(PEERS['vit_small_patch16_dinov3'].build())
    count = state['rope_embed.periods'].numel()
    state['rope_embed.periods'] = (50 ** (torch.arange(count) / count)).bfloat16()

    backbone = convert(state).backbone

    assert backbone['arch']['num_heads'] == HEADS
    assert backbone['position'] == dict(type='RotaryPosition', base=50.0)


def test_the_decoder_of_mae_is_left_out_and_said():
    _, _, conversion = build('mae')

    fates = {name: fate for name, fate in conversion.report.items() if fate.what == 'dropped'}
    assert 'decoder_blocks.0.norm1.weight' in fates and 'mask_token' in fates
    assert all('decoder' in fate.why for fate in fates.values())


_SWIN = dict(embed_dims=24, depths=(2, 2), num_heads=(2, 4))
MMPRETRAIN = {
    'VisionTransformer': dict(
        arch=dict(embed_dims=48, num_layers=2, num_heads=HEADS, feedforward_channels=96),
        img_size=32, patch_size=8, out_type='raw', layer_scale_init_value=1e-5,
    ),
    'SwinTransformer': dict(arch=_SWIN, img_size=32, window_size=4, out_indices=(1,)),
    'SwinTransformerV2': dict(
        arch=_SWIN | dict(extra_norm_every_n_blocks=0), img_size=32, window_size=4, out_indices=(1,)
    ),
}  # fmt: skip


def measured_mmpretrain(name, prefix='backbone.'):
    """The largest differences from mmpretrain's model, at the training size and at another."""
    model = getattr(mmpretrain.models, name)(**MMPRETRAIN[name])
    # Its `eval` returns nothing.
    randomize(model)
    state = {prefix + key: value for key, value in model.state_dict().items()}
    conversion = convert(state, None, HINTS if name == 'VisionTransformer' else NO_HINTS)
    kept = {
        key: MMPRETRAIN[name][key] for key in ('out_type', 'img_size') if key in MMPRETRAIN[name]
    }
    backbone = build_converted(replace(conversion, backbone={**conversion.backbone, **kept}))
    images = [torch.randn(2, 3, *size) for size in ((32, 32), (48, 40))]
    return tuple(largest_difference(backbone(each), model(each)) for each in images)


@pytest.mark.parametrize('prefix', ['', 'backbone.'])
@pytest.mark.parametrize('name', MMPRETRAIN)
def test_mmpretrain_agrees(name, prefix):
    assert max(measured_mmpretrain(name, prefix)) < 1e-5


def test_windows_of_an_earlier_training_are_read_off_swin_v2s_table():
    sizes = dict(embed_dims=16, depths=(1, 1), num_heads=(1, 2))
    options = dict(arch=sizes, img_size=128, window_size=16)
    for earlier, said in (((12, 6), (12, 6)), ((16, 8), (0, 8)), (None, None)):
        model = SwinV2(**options, pretrained_window_sizes=earlier)
        weights = {f'backbone.{name}': value for name, value in model.state_dict().items()}
        assert describe_swin(Renamed(weights), NO_HINTS).get('pretrained_window_sizes') == said


def test_the_config_of_a_swin_is_read_off_its_weights():
    reference = read_reference('swin_2')
    meta = {name: value.tolist() for name, value in reference['meta'].items()}

    backbone = convert(reference['state'], None, Hints(img_size=tuple(meta['img_size']))).backbone

    assert backbone == dict(
        type='Swin',
        arch=dict(
            embed_dims=meta['embed_dim'],
            depths=tuple(meta['depths']),
            num_heads=tuple(meta['num_heads']),
        ),
        window_size=meta['window_size'],
        mlp_ratio=meta['mlp_ratio'],
        patch_size=meta['patch_size'],
        img_size=tuple(meta['img_size']),
        use_abs_pos_embed=meta['ape'],
        qkv_bias=meta['qkv_bias'],
    )


def test_lv_vit_is_known_by_its_width_and_depth():
    state = {}
    for line in KEYS.read_text().splitlines():
        name, shape, kind = line.split('\t')
        sizes = tuple(int(side) for side in shape.strip('()').split(',') if side.strip())
        state[name] = torch.zeros(sizes, dtype=getattr(torch, kind.removeprefix('torch.')))

    conversion = convert(state)

    assert conversion.backbone == dict(type='LVViT', arch='small', img_size=224, patch_size=16)
    assert MODELS.build(conversion.backbone).layers[0].residual_scale == 2


def rows():
    """The rows of docs/weights.md that these tests hold."""
    version = f'timm {timm.__version__}'
    found = []
    for name, (peer, *_) in LAYOUTS.items():
        paper = f'facebookresearch/{name}, as a file'
        found.append(Row(paper, f'timm `{peer}`', partial(measured, name), version))
    version = f'mmpretrain {mmpretrain.__version__}'
    compared = 'normed tokens of the last layer'
    for name in MMPRETRAIN:
        measure_one = partial(measured_mmpretrain, name)
        found.append(Row('mmpretrain', f'mmpretrain `{name}`', measure_one, version, compared))
    return found


def measured(name):
    """The largest differences of a layout, at the training size and at others."""
    patch = PEERS[LAYOUTS[name][0]].patch
    side = GRID * patch
    others = [] if name == 'mae' else [measure(name, size) for size in other_sizes(patch)]
    return measure(name, (side, side)), max(others, default=None)
