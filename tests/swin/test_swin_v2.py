"""Swin V2, plain and with LIFE: mmpretrain's function and names, the counts of LIFE's tables, and
where its convolutions look.
"""

import re

import pytest
import torch
from mmpretrain.models import SwinTransformerV2

from mmtoken.convert import convert_state_dict
from mmtoken.dense import TokenViTLayerDecayConstructor
from mmtoken.errors import UserError
from mmtoken.swin import Swin, SwinV2
from mmtoken.tokens import Tokens
from mmtoken.vit.pretrained import compare_state

ARCH = dict(embed_dims=12, depths=(2, 2, 2), num_heads=(2, 3, 6))
LIFE = dict(type='LIFEProjection')
GRID = dict(type='LIFEProjection', scope='grid')


def build(**options):
    torch.manual_seed(0)
    options = {'arch': ARCH, 'img_size': 64, 'window_size': 4, 'drop_path_rate': 0.0, **options}
    built = SwinV2(**options)
    for name, parameter in built.named_parameters():
        if parameter.requires_grad and 'logit_scale' not in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return built.eval()


def images(height=64, width=64, batch=2):
    draw = torch.Generator().manual_seed(1)
    return torch.randn(batch, 3, height, width, generator=draw)


@torch.no_grad()
@pytest.mark.parametrize(
    ('size', 'options'),
    [
        ((64, 64), {}),
        ((64, 96), dict(window_size=(4, 4, 2), pretrained_window_sizes=(8, 8, 4))),
        ((50, 86), dict(pad_small_map=True)),
        ((80, 72), dict(use_abs_pos_embed=True, pad_small_map=True)),
    ],
)
def test_it_is_mmpretrains_swin_v2_whose_weights_load_as_they_are(size, options):
    own = build(out_indices=(0, 1, 2), **options)
    arch = dict(ARCH, extra_norm_every_n_blocks=0)
    sizes = {'pretrained_window_sizes': (0, 0, 0), **options}
    theirs = SwinTransformerV2(
        **{'arch': arch, 'img_size': 64, 'window_size': 4, 'out_indices': (0, 1, 2),
           'drop_path_rate': 0.0, **sizes}
    )  # fmt: skip
    # Which returns None.
    theirs.eval()
    given = {name: value.clone() for name, value in own.state_dict().items()}
    assert theirs.state_dict().keys() == given.keys()
    made_anew = theirs.load_state_dict(given, strict=False)
    assert not made_anew.unexpected_keys
    assert all(name.endswith(('coords_table', 'position_index')) for name in made_anew.missing_keys)

    for found, expected in zip(own(images(*size)), theirs(images(*size)), strict=True):
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5)


def test_presets_are_mmpretrains():
    with torch.device('meta'):
        own = SwinV2('tiny', window_size=16, pad_small_map=True)
    theirs = SwinTransformerV2('tiny', window_size=16)
    shapes = {name: value.shape for name, value in theirs.state_dict().items()}
    assert {name: value.shape for name, value in own.state_dict().items()} == shapes


def count(projection=None, classes=100, **options):
    with torch.device('meta'):
        backbone = SwinV2(projection=projection, **options)
    head = 768 * classes + classes
    return sum(p.numel() for p in backbone.parameters()) + head


@pytest.mark.parametrize(
    ('classes', 'plain'),
    [(10, 27585844), (100, 27655054), (200, 27731954), (1000, 28347154)],
)
def test_parameters_are_those_of_the_released_code(classes, plain):
    assert count(classes=classes) == plain
    # LIFE's 35 C a block, without its biases of q and v, which nothing reads: 8,832 in all.
    assert count(LIFE, classes) == plain + 154_560 - 8_832


def test_patches_of_one_pixel_have_fewer():
    assert count(patch_size=1, img_size=32) == 27655054 - 4320


def test_gradients_reach_every_parameter():
    for projection in (None, LIFE, GRID):
        backbone = build(projection=projection, out_indices=(0, 1, 2)).train()
        sum((out * torch.randn(out.shape)).sum() for out in backbone(images())).backward()
        still = [name for name, p in backbone.named_parameters() if not p.grad.abs().sum() > 0]
        assert not still


def test_a_width_that_three_scales_do_not_divide_takes_four():
    """The released base model is registered with three and fails when it runs."""
    with torch.device('meta'):
        with pytest.raises(UserError, match=r'embed_dims 128 .* use kernel_sizes=\(3, 5, 7\)'):
            SwinV2('base', projection=LIFE)
        backbone = SwinV2('base', projection=dict(LIFE, kernel_sizes=(3, 5, 7)))
        (out,) = backbone(torch.empty(1, 3, 256, 256))
    assert out.shape == (1, 1024, 8, 8)


def test_the_scale_and_the_network_of_positions_do_not_decay():
    model = torch.nn.Module()
    model.backbone = build(use_abs_pos_embed=True)
    build_optimizer = TokenViTLayerDecayConstructor(
        dict(optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.1))
    )
    groups = build_optimizer(model).optimizer.param_groups
    names = {n for group in groups if group['weight_decay'] for n in group['param_names']}

    assert any(name.endswith('qkv.weight') for name in names)
    assert not any('cpb_mlp' in name or 'logit_scale' in name for name in names)


def test_arguments_may_be_given_by_their_places_as_those_of_swin():
    assert [kind('tiny', 64).img_size for kind in (Swin, SwinV2)] == [(64, 64)] * 2


def test_a_block_starts_as_the_identity():
    torch.manual_seed(0)
    block = SwinV2(ARCH, img_size=64, window_size=4).eval().stages[0].blocks[1]
    x = torch.randn(1, 256, 12)
    assert torch.equal(block(Tokens(x, (16, 16), 0)).x, x)


def reach(projection, place=(7, 7)):
    """Which tokens the values of a place depend on, in a shifted block of windows of 4 × 4."""
    block = build(projection=projection).stages[0].blocks[1].attn
    x = torch.zeros(1, 256, 12, requires_grad=True)
    v = block._project(Tokens(x, (16, 16), 0), (16, 16), (2, 2))[2]
    rolled = [(side - 2) % 16 for side in place]
    window, inside = rolled[0] // 4 * 4 + rolled[1] // 4, rolled[0] % 4 * 4 + rolled[1] % 4
    (grad,) = torch.autograd.grad(v[window, inside].abs().sum(), x)
    found = grad.abs().sum(-1).view(16, 16).nonzero().tolist()
    return {tuple(place) for place in found}


def test_windows_bound_the_released_convolutions():
    rows, columns = range(6, 10), range(6, 10)
    assert reach(LIFE) <= {(row, column) for row in rows for column in columns}
    assert len(reach(LIFE)) == 16


def test_a_shifted_window_of_the_released_form_mixes_what_the_shift_made_neighbors():
    assert (15, 15) in reach(LIFE, (0, 0))
    assert (15, 15) not in reach(GRID, (0, 0))


def test_the_whole_grid_is_seen_across_windows_and_not_around_the_border():
    # 1 + 2 + 4 tokens a side, three scales one upon another.
    around = range(4, 11)
    assert reach(GRID) == {(row, column) for row in around for column in around}
    assert reach(GRID, (0, 0)) == {(row, column) for row in range(4) for column in range(4)}


@torch.no_grad()
def test_scopes_agree_where_there_is_one_window():
    """Padding and shifts aside, a window that is the grid is the grid."""
    window, grid = build(projection=LIFE, window_size=4), build(projection=GRID, window_size=4)
    grid.load_state_dict(window.state_dict())
    tokens = Tokens(torch.randn(2, 16, 48, generator=torch.Generator().manual_seed(0)), (4, 4), 0)
    found, expected = (b.stages[2].blocks[1](tokens).x for b in (grid, window))
    torch.testing.assert_close(found, expected)


@torch.no_grad()
def test_a_linear_projection_is_blind_to_the_scope_but_for_padding():
    backbone = build()
    block = backbone.stages[0].blocks[1].attn
    tokens = Tokens(torch.randn(2, 256, 12), (16, 16), 0)
    expected = block(tokens).x
    block.w_msa.qkv.scope = 'grid'
    torch.testing.assert_close(block(tokens).x, expected)


@pytest.mark.parametrize('projection', [None, LIFE, GRID])
@torch.no_grad()
def test_labels_keep_summing_to_one_through_padding_shifts_and_mergings(projection):
    backbone = build(projection=projection, pad_small_map=True)
    image = images(52, 44)
    tokens = backbone.embed(image)
    own = torch.rand(2, tokens.x.shape[1], 1, generator=torch.Generator().manual_seed(3))

    _, trace = backbone(image, torch.cat([own, 1 - own], dim=-1))

    torch.testing.assert_close(trace.sum(dim=-1), torch.ones(trace.shape[:2]))
    assert trace.min() >= own.min() - 1e-6 and trace.max() <= own.max() + 1e-6


def test_weights_of_another_window_load_and_keep_their_network_of_positions():
    small, large = build(window_size=4), build(window_size=8, pad_small_map=True)
    coverage = compare_state(large, small.state_dict())
    assert coverage.complete and len(coverage.resized) == 2 * 6
    large.load_state_dict({name: value.clone() for name, value in small.state_dict().items()})

    found, given = (b.stages[0].blocks[0].attn.w_msa for b in (large, small))
    assert found.relative_coords_table.shape == (1, 15, 15, 2)
    assert torch.equal(found.cpb_mlp[0].weight, given.cpb_mlp[0].weight)


def test_what_follows_from_the_window_may_be_missing(tmp_path):
    backbone = build()
    state = {name: value for name, value in backbone.state_dict().items()
             if not name.endswith(('coords_table', 'position_index'))}  # fmt: skip
    torch.save(state, tmp_path / 'pruned.pth')
    loaded = dict(type='Pretrained', checkpoint=str(tmp_path / 'pruned.pth'))
    other = SwinV2(ARCH, img_size=64, window_size=4, init_cfg=loaded)
    other.init_weights()

    assert torch.equal(other.eval()(images())[0], backbone(images())[0])


def test_microsofts_names_of_swin_v2():
    """The stage after a merging owns it here; its norm keeps its channels in order."""
    own = build().state_dict()
    theirs = {}
    for name, value in own.items():
        name = name.replace('patch_embed.projection', 'patch_embed.proj')
        name = name.replace('ffn.layers.0.0', 'mlp.fc1').replace('ffn.layers.1', 'mlp.fc2')
        name = name.replace('attn.w_msa', 'attn').replace('stages.', 'layers.')
        if name.startswith('norm2.'):
            name = name.replace('norm2.', 'norm.')
        if merging := re.fullmatch(r'layers\.(\d)\.downsample\.(.+)', name):
            name = f'layers.{int(merging[1]) - 1}.downsample.{merging[2]}'
        if name.endswith('reduction.weight'):
            # Theirs takes the four tokens one after another, column by column.
            value = value.unflatten(-1, (-1, 2, 2)).permute(0, 3, 2, 1).flatten(1)
        theirs[name] = value

    converted = convert_state_dict(theirs, 'swin')

    assert converted.keys() == {f'backbone.{name}' for name in own}
    for name, value in own.items():
        assert torch.equal(converted[f'backbone.{name}'], value), name


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(window_size=(4, 4)), r'window_size \(4, 4\) has 2 numbers for 3 stages'),
        (dict(window_size=1), 'window_size 1 is not a whole number from 2 up'),
        (
            dict(pretrained_window_sizes=(4,)),
            r'pretrained_window_sizes \(4,\) is not a number for each of the 3 stages',
        ),
        (dict(pretrained_window_sizes=4), 'pretrained_window_sizes 4 is not a number for each'),
        (dict(attn_drop_rate=2), 'attn_drop_rate 2'),
        (dict(pretrained_window_sizes=(1, 0, 0)), 'pretrained_window_size 1 is neither 0'),
        (dict(pretrained_window_sizes=()), r'pretrained_window_sizes \(\) is not a number for'),
        (dict(pretrained_window_sizes=False), 'pretrained_window_sizes False is not a number for'),
        (dict(pretrained_window_sizes=(8.0, 8, 8)), 'pretrained_window_size 8.0 is not a whole'),
        (dict(projection=dict(LIFE, kernel_sizes='')), "kernel_sizes '' is not a sequence of odd"),
        (dict(projection=dict(LIFE, kernel_sizes=(True, 3))), 'is not a sequence of odd'),
        (dict(qk_scale=0.5), 'qk_scale 0.5 has no place in Swin V2'),
        (
            dict(projection=LIFE, arch=dict(ARCH, embed_dims=16, num_heads=(2, 2, 2))),
            'embed_dims 16 is not a multiple of the 3 scales',
        ),
        (dict(projection=dict(LIFE, scope='all')), "scope 'all' is unknown"),
    ],
)
def test_what_has_no_meaning_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        build(**options)


@pytest.mark.parametrize('norm_cfg', [dict(elementwise_affine=False), dict(bias=False)])
def test_norms_without_what_is_learned_have_nothing_to_start_at_zero(norm_cfg):
    backbone = SwinV2(ARCH, img_size=64, window_size=4, norm_cfg=norm_cfg)

    assert backbone(images())[0].isfinite().all()


@pytest.fixture(params=[None, LIFE, GRID], ids=['plain', 'windows', 'grid'])
def padded(request):
    """A backbone whose windows are padded, as it is after some training."""
    torch.manual_seed(0)
    built = SwinV2(
        ARCH, img_size=72, window_size=4, pad_small_map=True, projection=request.param,
        drop_path_rate=0.0,
    )  # fmt: skip
    for name, parameter in built.named_parameters():
        if 'norm' in name and name.endswith('weight'):
            torch.nn.init.ones_(parameter)
    return built


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16, torch.float16])
def test_padded_keys_of_no_direction_have_no_gradient(padded, dtype):
    """Their bias is none or zero, so that padding is the zero vector."""
    with torch.autocast('cpu', dtype, enabled=dtype is not torch.float32):
        (out,) = padded.train()(images(72, 56))
        loss = out.float().square().mean()
    loss.backward()

    largest = max(p.grad.abs().max() for p in padded.parameters())
    assert all(p.grad.isfinite().all() for p in padded.parameters())
    assert largest < 10


@torch.no_grad()
def test_a_padded_model_of_half_precision_stays_finite(padded):
    (out,) = padded.eval().half()(images(72, 56).half())
    assert out.isfinite().all()


def test_weights_of_another_window_say_what_they_need(run_log):
    small, large = build(window_size=4), build(window_size=8, pad_small_map=True)
    state = {name: value.clone() for name, value in small.state_dict().items()}
    large.load_state_dict(dict(state))
    assert [text for _, text in run_log if 'set pretrained_window_sizes' in text]

    run_log.clear()
    sizes = dict(pretrained_window_sizes=(4, 4, 4), pad_small_map=True)
    build(window_size=8, **sizes).load_state_dict(dict(state))
    small.load_state_dict(state)
    assert not [text for _, text in run_log if 'pretrained_window_sizes' in text]


def test_weights_of_the_same_window_that_were_scaled_by_another_say_so(run_log):
    earlier = build(window_size=4, pretrained_window_sizes=(3, 3, 3))
    state = {name: value.clone() for name, value in earlier.state_dict().items()}

    build(window_size=4).load_state_dict(dict(state))

    (text,) = [text for _, text in run_log if 'pretrained_window_sizes' in text]
    assert 'windows of (3, 3, 3) tokens a side, those of this backbone by (4, 4, 4)' in text
    assert 'set pretrained_window_sizes=(3, 3, 3)' in text
    run_log.clear()
    build(window_size=4, pretrained_window_sizes=(3, 3, 3)).load_state_dict(state)
    assert not [text for _, text in run_log if 'pretrained_window_sizes' in text]
