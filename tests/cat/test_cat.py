"""CAT as a backbone: units, windows, image sizes, and every ability of a pyramid."""

import pickle

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from small_cat import ARCH, build_cat, images

from mmtoken.cat import CAT, CrossPatchAttention
from mmtoken.errors import UserError
from mmtoken.life import LIFEProjection
from mmtoken.tokens import Tokens
from mmtoken.vit.position import resize_position
from mmtoken.vit.pretrained import compare_state


def test_a_unit_is_inside_between_inside_and_has_one_drop_path_rate():
    backbone = build_cat(drop_path_rate=0.3)
    between = [isinstance(block.attn, CrossPatchAttention) for block in backbone.layers]
    rates = [block.drop_path.drop_prob for block in backbone.layers]

    assert backbone.depths == (3, 6, 3)
    assert between == 4 * [False, True, False]
    assert rates == pytest.approx([rate for rate in (0, 0.1, 0.2, 0.3) for _ in range(3)])


def test_windows_are_never_shifted():
    blocks = build_cat().layers
    assert {block.attn.shift for block in blocks if hasattr(block.attn, 'shift')} == {0}


def test_positions_are_on_unless_turned_off():
    assert build_cat().absolute_pos_embed.shape == (1, 256, 12)
    assert not hasattr(build_cat(use_abs_pos_embed=False), 'absolute_pos_embed')


@pytest.mark.parametrize(
    ('img_size', 'pad_small_map', 'sizes'),
    [
        (128, False, [4, 4, 4]),
        (32, False, [4, 4, 2]),
        ((64, 24), False, [4, 3, 2]),
        ((40, 200), False, [4, 4, 3]),
        (32, True, [4, 4, 4]),
    ],
)
def test_windows_are_no_larger_than_the_grid_unless_it_is_padded(img_size, pad_small_map, sizes):
    backbone = build_cat(img_size=img_size, pad_small_map=pad_small_map)
    side = img_size if isinstance(img_size, tuple) else (img_size,) * 2

    assert [backbone.window_of(stage) for stage in range(3)] == sizes
    for block, plan in zip(backbone.layers, backbone.plans, strict=True):
        assert block.attn.window_size == sizes[plan.stage]
    assert backbone(images(*side))[0].isfinite().all()


@torch.no_grad()
def test_channels_do_not_mix_between_windows_and_windows_do():
    mixer = build_cat().layers[1].attn
    x = torch.randn(1, 96, 12, generator=torch.Generator().manual_seed(0))
    other = x.clone()
    other[0, 0, 5] += 1

    changed = mixer(Tokens(other, (8, 12), 0)).x - mixer(Tokens(x, (8, 12), 0)).x

    channels = changed.abs().amax(dim=(0, 1))
    assert channels[5] > 1e-3 and channels[torch.arange(12) != 5].max() == 0
    assert (changed[0, :, 5].view(2, 4, 3, 4).abs().amax(dim=(1, 3)) > 1e-6).all()


@torch.no_grad()
@pytest.mark.parametrize('size', [(50, 86), (61, 93), (16, 16), (4, 4), (36, 100)])
def test_padding_takes_images_of_any_size(size):
    outs = build_cat(pad_small_map=True, out_indices=(0, 1, 2))(images(*size))

    grids = [tuple(-(-side // 2**stage) for side in size) for stage in (2, 3, 4)]
    assert [tuple(out.shape[2:]) for out in outs] == grids
    assert all(out.isfinite().all() and out.is_contiguous() for out in outs)


@torch.no_grad()
def test_larger_grids_are_padded_in_a_classifier_too():
    padding, plain = build_cat(pad_small_map=True), build_cat()
    torch.testing.assert_close(plain(images(72, 88)), padding(images(72, 88)))


@torch.no_grad()
def test_odd_grids_are_zero_padded_and_merged():
    """Where the released code fails, which pads and views the result by the old size."""
    backbone = build_cat(pad_small_map=True)
    merging = backbone.stages[0].downsample
    tokens = Tokens(torch.randn(2, 35, 12, generator=torch.Generator().manual_seed(2)), (5, 7), 0)

    merged = merging(tokens)

    maps = F.pad(tokens.feature_map(), (0, 1, 0, 1))
    fours = F.unfold(maps, 2, stride=2).transpose(1, 2)
    assert merged.grid == (3, 4)
    torch.testing.assert_close(merged.x, merging.reduction(merging.norm(fours)))
    assert backbone(images(20, 28))[0].shape[2:] == (2, 2)


def test_images_smaller_than_a_window_are_refused_unless_padded():
    with pytest.raises(UserError, match='window of 4x4 tokens is larger than the grid 2x2.*pad_sm'):
        build_cat()(images(32, 32))


@pytest.mark.parametrize(('window_size', 'one_window'), [(4, True), (2, False)])
def test_gradients_reach_every_parameter_that_has_a_say(window_size, one_window):
    """A bias of places is the same for all channels, which every norm of tokens takes away; only
    merging, which norms four tokens at once, sees it. So behind the last merging the output bias
    of cross-patch attention has a gradient of zero, and beside a single window, whose attention is
    1, that of q, k and v, too.
    """
    backbone = build_cat(window_size=window_size).double().train()
    (out,) = backbone(images().double())
    (out * torch.randn(out.shape, dtype=out.dtype)).sum().backward()

    largest = {name: p.grad.abs().max().item() for name, p in backbone.named_parameters()}
    last = 'stages.2.blocks.1.attn.{}.bias'.format
    dead = {last('proj'), *([last('qkv')] if one_window else [])}
    assert {name for name, value in largest.items() if value < 1e-10} == dead
    assert min(value for name, value in largest.items() if name not in dead) > 1e-6


def test_recomputed_blocks_learn_the_same():
    def learn(with_cp):
        backbone = build_cat(with_cp=with_cp).train()
        backbone(images())[0].square().sum().backward()
        return [p.grad for p in backbone.parameters()]

    for found, expected in zip(learn(True), learn(False), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('frozen', [-1, 0, 1, 2])
def test_frozen_stages_do_not_learn_and_stay_in_evaluation_mode(frozen):
    """With positions, too, where the released code fails."""
    backbone = build_cat(frozen_stages=frozen, out_indices=(0, 2)).train()
    sum(out.sum() for out in backbone(images())).backward()

    learning = {name for name, p in backbone.named_parameters() if p.grad is not None}
    starts = {'.'.join(name.split('.')[:2]) for name in learning}
    assert ('patch_embed.projection' in starts) == (frozen < 0)
    assert ('absolute_pos_embed' in starts) == (frozen < 0)
    for stage in range(3):
        assert (f'stages.{stage}' in starts) == (frozen <= stage)
        assert backbone.stages[stage].training == (frozen <= stage)
    assert ('norm0.weight' in starts) == (frozen < 1)
    assert backbone.train() is backbone and backbone.eval() is backbone


def test_depths_for_layer_wise_rates_count_blocks():
    backbone = build_cat()
    depth = {name: backbone.get_layer_depth(f'backbone.{name}', 'backbone.')[0]
             for name, _ in backbone.named_parameters()}  # fmt: skip

    assert backbone.get_layer_depth('head.fc.weight', 'backbone.') == (13, 14)
    assert depth['patch_embed.projection.weight'] == depth['absolute_pos_embed'] == 0
    assert depth['stages.0.blocks.0.attn.w_msa.qkv.weight'] == 1
    assert depth['stages.0.blocks.1.attn.qkv.weight'] == 2
    assert depth['stages.0.downsample.norm.weight'] == depth['stages.1.blocks.0.norm1.bias'] == 4
    assert depth['stages.1.blocks.4.attn.proj.bias'] == 8
    assert depth['stages.2.blocks.2.ffn.layers.1.weight'] == 12 and depth['norm2.weight'] == 13


@pytest.mark.parametrize('img_size', [128, (96, 160)])
def test_weights_of_another_image_size_load_with_positions_resized(img_size):
    small, large = build_cat(), CAT(ARCH, img_size=img_size, window_size=4)
    state = small.state_dict()
    coverage = compare_state(large, {name: value.clone() for name, value in state.items()})
    assert coverage.complete and len(coverage.resized) == 1

    large.load_state_dict(state, strict=True)

    expected = resize_position(small.absolute_pos_embed, (16, 16), large.patch_resolution, 0)
    torch.testing.assert_close(large.absolute_pos_embed, expected)
    again = build_cat()
    again.load_state_dict(pickle.loads(pickle.dumps(state)), strict=True)
    assert torch.equal(again(images())[0], small(images())[0])


def test_weights_of_another_window_are_refused(tmp_path):
    """Tables of positions are stretched; the width of cross-patch attention cannot be."""
    torch.save(build_cat(window_size=2).state_dict(), tmp_path / 'small.pth')
    loaded = dict(type='Pretrained', checkpoint=str(tmp_path / 'small.pth'))

    with pytest.raises(UserError, match=r'stages\.0\.blocks\.1\.attn\.qkv'):
        CAT(ARCH, img_size=64, window_size=4, init_cfg=loaded).init_weights()


def test_it_can_be_copied_and_stored():
    backbone = build_cat()
    again = pickle.loads(pickle.dumps(backbone))
    assert torch.equal(again(images())[0], backbone(images())[0])


def test_mixed_precision_is_near():
    backbone = build_cat(std=0.05)
    with torch.autocast('cpu', torch.bfloat16):
        (found,) = backbone(images())
    torch.testing.assert_close(found.float(), backbone(images())[0], atol=0.02, rtol=0.05)


@pytest.mark.parametrize('scope', ['window', 'grid'])
def test_life_projects_inside_windows_alone(scope):
    backbone = build_cat(projection=dict(type='LIFEProjection', scope=scope), pad_small_map=True)
    kinds = [isinstance(block.attn.w_msa.qkv, LIFEProjection) for block in backbone.layers[::3]]

    assert all(kinds) and type(backbone.layers[1].attn.qkv) is torch.nn.Linear
    assert backbone(images(50, 86))[0].isfinite().all()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(arch='tinny'), "arch 'tinny' is unknown.*mean 'tiny'"),
        (dict(arch=dict(ARCH, num_heads=(2, 3))), 'is not a dict with embed_dims, depths and'),
        (dict(arch=dict(ARCH, depths=(1, 0, 1))), 'depths 0 is not a whole number from 1'),
        (dict(arch=dict(ARCH, num_heads=(2, 5, 6))), 'embed_dims 24 is not a multiple of num_head'),
        (dict(window_size=1), 'window_size 1 is not a whole number from 2 up; .* such as 7'),
        (dict(window_size=(4, 4, 4)), r'window_size \(4, 4, 4\) is not a whole number'),
        (dict(qk_scale=0), 'qk_scale 0 is not a number above 0'),
        (dict(qk_scale='auto'), "qk_scale 'auto' is not a number above 0"),
        (dict(attn_drop_rate=1.0), 'attn_drop_rate 1.0 is not a probability'),
        (dict(drop_path_rate=-0.1), 'drop_path_rate -0.1 is not a probability'),
        (dict(out_indices=3), r'out_indices \(3,\) is not a choice of stages 0..2'),
        (dict(frozen_stages=4), 'frozen_stages 4 is none of -1..3'),
        (dict(projection='LIFE'), "'LIFE' is not the config of a part"),
        (
            dict(projection=dict(type='LIFEProjection', aux_key='first')),
            "aux_key='first' of the projection has no meaning in a pyramid",
        ),
        (dict(projection=dict(typ='x')), "projection of type LinearProjection does not take 'typ'"),
    ],
)
def test_what_has_no_meaning_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        build_cat(**options)


def test_a_window_of_cross_patch_attention_alone_is_checked():
    with pytest.raises(UserError, match='window_size 2.5 is not a whole number from 1 up'):
        CrossPatchAttention(2.5)


@pytest.mark.parametrize('target', ['tl_align', 'transmix', 'cutmix'])
def test_a_classifier_trains_with_labels_that_follow(target):
    torch.manual_seed(0)
    loss = dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original')
    model = MODELS.build(
        dict(
            type='TLAlignClassifier',
            backbone=dict(type='CAT', arch=ARCH, img_size=64, window_size=4),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=5, in_channels=48, loss=loss),
            target=target,
        )
    ).train()
    samples = [DataSample().set_gt_label(label) for label in (0, 3, 2, 1)]

    losses = model.loss(images(batch=4), samples)
    losses['loss'].backward()

    assert losses['loss'].isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
