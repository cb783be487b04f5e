"""The skeleton of pyramids, over Swin: mmpretrain's function and names, and every ability."""

import math
import pickle

import numpy as np
import pytest
import torch
from mmpretrain.models import SwinTransformer
from small_swin import ARCH, build, images

from mmtoken.cat import CAT
from mmtoken.dense import TokenViTLayerDecayConstructor, check_pyramids
from mmtoken.errors import UserError
from mmtoken.pyramid import window_bias
from mmtoken.swin import Swin, SwinV2


@torch.no_grad()
@pytest.mark.parametrize(
    ('size', 'options'),
    [
        ((64, 64), {}),
        ((64, 96), {}),
        ((50, 86), dict(pad_small_map=True)),
        ((16, 16), dict(pad_small_map=True)),
        ((64, 64), dict(use_abs_pos_embed=True)),
        ((80, 72), dict(use_abs_pos_embed=True, pad_small_map=True)),
        ((84, 84), dict(window_size=7, pad_small_map=True)),
    ],
)
def test_it_is_mmpretrains_swin_whose_weights_load_as_they_are(size, options):
    own = build(out_indices=(0, 1, 2), **options)
    theirs = SwinTransformer(
        **{'arch': ARCH, 'img_size': 64, 'window_size': 4, 'out_indices': (0, 1, 2),
           'drop_path_rate': 0.0, **options}
    )  # fmt: skip
    theirs.load_state_dict(own.state_dict(), strict=True)
    theirs.eval()

    for found, expected in zip(own(images(*size)), theirs(images(*size)), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize('batch', [1, 3])
@pytest.mark.parametrize('size', [(64, 64), (50, 86)])
def test_it_learns_what_mmpretrains_swin_learns(size, batch):
    options = dict(window_size=4, out_indices=(0, 1, 2), pad_small_map=True)
    own = build(**options).train()
    theirs = SwinTransformer(arch=ARCH, img_size=64, drop_path_rate=0.0, **options)
    theirs.load_state_dict(own.state_dict(), strict=True)
    theirs.train()

    for model in (own, theirs):
        sum(out.square().mean() for out in model(images(*size, batch))).backward()

    for (name, mine), (_, expected) in zip(
        sorted(own.named_parameters()), sorted(theirs.named_parameters()), strict=True
    ):
        scale = expected.grad.abs().max().item()
        torch.testing.assert_close(mine.grad, expected.grad, atol=2e-5 * scale, rtol=0, msg=name)


def test_what_keeps_shifted_windows_apart_is_made_once_a_size(monkeypatch):
    made, make = [], window_bias._apart
    monkeypatch.setattr(window_bias, '_apart', lambda *which: made.append(which) or make(*which))
    backbone = build(window_size=4, pad_small_map=True)
    window_bias._kept_apart.cache_clear()

    with torch.inference_mode():
        backbone(images(64, 40))
    backbone.train()(images(64, 40))[-1].sum().backward()
    first = len(made)
    backbone(images(40, 64))

    # One for each stage; padded to whole windows, the grids of the last two are the same again.
    assert (first, len(made)) == (3, 4)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_it_learns_under_autocast(dtype):
    backbone = build(pad_small_map=True).train()

    with torch.autocast('cpu', dtype):
        (out,) = backbone(images(50, 86))
    out.float().square().mean().backward()

    assert all(p.grad.isfinite().all() for p in backbone.parameters())


def test_presets_are_mmpretrains():
    own, theirs = Swin('tiny'), SwinTransformer('tiny')
    shapes = {name: value.shape for name, value in theirs.state_dict().items()}
    assert {name: value.shape for name, value in own.state_dict().items()} == shapes
    for name, arch in Swin.archs.items():
        listed = {key: [*value] if key != 'embed_dims' else value for key, value in arch.items()}
        assert listed == SwinTransformer.arch_zoo[name]


def test_maps_have_strides_channels_and_norms_of_their_own():
    backbone = build(out_indices=(2, 0))

    outs = backbone(images())

    assert backbone.out_strides == (16, 4) and backbone.out_channels == (48, 12)
    assert [tuple(out.shape) for out in outs] == [(2, 48, 4, 4), (2, 12, 16, 16)]
    assert all(out.is_contiguous() for out in outs)
    assert not hasattr(backbone, 'norm1')


@pytest.mark.parametrize('cls', [Swin, SwinV2, CAT])
def test_sizes_may_be_numbers_of_numpy(cls):
    arch = dict(ARCH, depths=(1, 2, 1))

    def outputs(number):
        torch.manual_seed(0)
        made = cls(arch, number(64), window_size=number(4), pad_small_map=True)
        return made.eval()(images(48, 40))

    for own, theirs in zip(outputs(np.int64), outputs(int), strict=True):
        assert torch.equal(own, theirs)


def test_what_is_returned():
    (maps,) = build()(images())
    (raw,) = build(out_type='raw')(images())
    (mean,) = build(out_type='avg_featmap')(images())

    assert torch.equal(maps.flatten(2).transpose(1, 2), raw)
    torch.testing.assert_close(mean, raw.mean(dim=1))


@pytest.mark.parametrize('options', [{}, dict(out_indices=(0, 2)), dict(use_abs_pos_embed=True)])
def test_gradients_reach_every_parameter(options):
    backbone = build(**options).train()
    sum((out * torch.randn(out.shape)).sum() for out in backbone(images())).backward()

    assert all(p.grad.abs().sum() > 0 for p in backbone.parameters())


def test_stages_above_the_last_output_are_frozen_and_kept():
    backbone = build(out_indices=1)
    backbone(images())[0].sum().backward()

    learning = {name for name, p in backbone.named_parameters() if p.requires_grad}
    assert learning == {name for name, p in backbone.named_parameters() if p.grad is not None}
    assert not any(name.startswith(('stages.2', 'stages.1.downsample')) for name in learning)
    assert any(name.startswith('stages.2') for name in backbone.state_dict())


@pytest.mark.parametrize('frozen', [-1, 0, 2])
def test_frozen_stages_do_not_learn_and_stay_in_evaluation_mode(frozen):
    backbone = build(frozen_stages=frozen, use_abs_pos_embed=True, out_indices=(0, 2)).train()

    names = [name for name, p in backbone.named_parameters() if p.requires_grad]
    parts = {name.rpartition('.blocks')[0] or name.split('.')[0] for name in names}
    assert ('patch_embed' in parts) == (frozen < 0)
    assert ('stages.0' in parts) == (frozen < 1) and 'stages.2' in parts
    assert ('norm0' in parts) == (frozen < 1) and 'norm2' in parts
    assert backbone.stages[0].training == (frozen < 1) and backbone.stages[2].training


def test_recomputed_blocks_learn_the_same():
    def learn(with_cp):
        backbone = build(with_cp=with_cp).train()
        backbone(images())[0].square().sum().backward()
        return [p.grad for p in backbone.parameters()]

    for found, expected in zip(learn(True), learn(False), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_depths_for_layer_wise_rates():
    backbone = build(use_abs_pos_embed=True)
    depth = {name: backbone.get_layer_depth(f'backbone.{name}', 'backbone.')[0]
             for name, _ in backbone.named_parameters()}  # fmt: skip

    assert backbone.get_layer_depth('head.fc.weight', 'backbone.') == (7, 8)
    assert depth['patch_embed.projection.weight'] == depth['absolute_pos_embed'] == 0
    assert depth['stages.0.blocks.1.norm1.weight'] == 2
    assert depth['stages.0.downsample.reduction.weight'] == 3
    assert depth['stages.1.blocks.0.attn.w_msa.qkv.weight'] == 3
    assert depth['stages.2.blocks.1.ffn.layers.1.weight'] == 6 and depth['norm2.weight'] == 7


def test_positions_have_no_weight_decay():
    model = torch.nn.Module()
    model.backbone = build(use_abs_pos_embed=True)
    wrapper = TokenViTLayerDecayConstructor(
        dict(optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.1))
    )(model)
    groups = wrapper.optimizer.param_groups
    decayed = {id(p) for group in groups if group['weight_decay'] for p in group['params']}

    for name, parameter in model.named_parameters():
        position = name.endswith(('relative_position_bias_table', 'absolute_pos_embed'))
        assert (id(parameter) in decayed) == (parameter.ndim > 1 and not position), name


def test_a_neck_of_other_widths_is_refused():
    holder = torch.nn.Module()
    holder.backbone = build(out_indices=(0, 1, 2))
    holder.neck = torch.nn.Module()
    holder.neck.in_channels = [12, 24, 48]
    check_pyramids(holder)
    holder.neck.in_channels = [12, 24, 96]
    with pytest.raises(UserError, match=r'outputs have \[12, 24, 48\] channels'):
        check_pyramids(holder)


def test_it_can_be_copied_and_stored():
    backbone = build()
    again = pickle.loads(pickle.dumps(backbone))
    assert torch.equal(again(images())[0], backbone(images())[0])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(arch='tinny'), "arch 'tinny' is unknown.*mean 'tiny'"),
        (dict(arch=3), 'arch 3 is unknown'),
        (dict(img_size=(64,)), r'img_size \(64,\) is neither a side nor height and width'),
        (dict(arch=dict(embed_dims=12, depths=(2,))), 'is not a dict with embed_dims, depths and'),
        (dict(arch=dict(ARCH, num_heads=(2, 3))), 'is not a dict with embed_dims, depths and'),
        (dict(arch=dict(ARCH, depths=(), num_heads=())), 'is not a dict with embed_dims, depths'),
        (
            dict(arch=dict(ARCH, num_heads=(2, 5, 6))),
            'embed_dims 24 is not a multiple of num_heads',
        ),
        (dict(out_type='cls_token'), "out_type 'cls_token' is unknown"),
        (dict(out_indices=3), r'out_indices \(3,\) is not a choice of stages 0..2'),
        (dict(frozen_stages=4), 'frozen_stages 4 is none of -1..3'),
        (dict(frozen_stages=1.0), 'frozen_stages 1.0 is none of -1..3'),
        (dict(mlp_ratio=-1), 'mlp_ratio -1 is not'),
        (dict(norm_cfg=dict(type='BN')), "norm_cfg of type 'BN' norms maps"),
        (dict(norm_cfg=dict(type='IN')), "norm_cfg of type 'IN' norms maps"),
        (dict(norm_cfg=dict(type='GN', num_groups=2)), "norm_cfg of type 'GN' norms maps"),
        (dict(norm_cfg=dict(type='LN2d')), "norm_cfg of type 'LN2d' norms maps"),
        (dict(arch=dict(ARCH, embed_dims='96')), "embed_dims '96' is not a whole number"),
        (dict(window_size=1), 'window_size 1 is not a whole number from 2 up'),
        (dict(arch=dict(ARCH, num_heads=(2, None, 6))), 'num_heads None is not a whole number'),
        (dict(frozen_stages=True), 'frozen_stages True is none of -1..3'),
        (dict(out_indices=True), r'out_indices \(True,\) is not a choice of stages 0..2'),
        (dict(mlp_ratio=0.01), 'mlp_ratio 0.01 leaves no hidden channel of the 12'),
        (dict(mlp_ratio=math.inf), 'mlp_ratio inf is not a number above 0 and below inf'),
        (dict(qk_scale=math.inf), 'qk_scale inf is not a number above 0 and below inf'),
        (dict(norm_cfg=dict(type='LNN')), "norm_cfg has type 'LNN', which is not registered"),
        (dict(norm_cfg=dict(eps_=1e-6)), "LayerNorm does not take 'eps_'; did you mean 'eps'"),
        (dict(norm_cfg=0), '0 is not the config of a part'),
        (dict(projection=''), "'' is not the config of a part"),
        (
            dict(projection=dict(type='LIFEProjektion')),
            "has type 'LIFEProjektion', which is not registered; did you mean 'LIFEProjection'",
        ),
    ],
)
def test_what_has_no_meaning_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        build(**options)
