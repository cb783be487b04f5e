"""The skeleton of pyramids, over Swin: mmpretrain's function and names, and every ability."""

import pickle

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.models import SwinTransformer
from mmpretrain.registry import MODELS
from small_swin import ARCH, build, images

from mmtoken.dense import TokenViTLayerDecayConstructor, check_pyramids
from mmtoken.errors import UserError
from mmtoken.pyramid import window_bias
from mmtoken.runtime.load_model import load_weights
from mmtoken.swin import Swin
from mmtoken.vit.position import resize_position
from mmtoken.vit.pretrained import compare_state


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


def test_positions_of_another_size_are_resized_and_counted():
    small = build(img_size=32, window_size=3, use_abs_pos_embed=True, pad_small_map=True)
    large = build(img_size=64, window_size=4, use_abs_pos_embed=True, pad_small_map=True)
    state = {f'backbone.{name}': value.clone() for name, value in small.state_dict().items()}
    plain = {name.removeprefix('backbone.'): value for name, value in state.items()}

    coverage = compare_state(large, plain)
    # The positions, and of each block the table and the index into it.
    assert coverage.complete and len(coverage.resized) == 1 + 2 * 6
    holder = torch.nn.Module()
    holder.backbone = large
    holder.load_state_dict(state, strict=True)

    theirs = SwinTransformer(arch=ARCH, img_size=64, window_size=4, out_indices=(2,))
    index = large.stages[0].blocks[0].attn.w_msa.relative_position_index
    assert torch.equal(index, theirs.stages[0].blocks[0].attn.w_msa.relative_position_index)
    assert large.absolute_pos_embed.shape == (1, 256, 12)
    expected = resize_position(plain['absolute_pos_embed'], (8, 8), (16, 16), 0)
    torch.testing.assert_close(large.absolute_pos_embed, expected)


def test_tables_are_stretched_over_their_offsets():
    small, large = build(window_size=4), build(window_size=8, pad_small_map=True)
    state = small.state_dict()
    name = 'stages.0.blocks.0.attn.w_msa.relative_position_bias_table'
    # From −3 at the top and left to 3 at the bottom and right.
    down, right = torch.meshgrid(torch.arange(-3.0, 4), torch.arange(-3.0, 4), indexing='ij')
    state[name] = torch.stack([down.flatten(), right.flatten()], dim=1)
    large.load_state_dict(state)

    table = large.get_parameter(name).detach()
    # As the released code writes it.
    maps = F.interpolate(state[name].T.view(1, 2, 7, 7), size=(15, 15), mode='bicubic')
    torch.testing.assert_close(table, maps.view(2, -1).T)
    down, right = table.view(15, 15, 2).unbind(dim=-1)
    torch.testing.assert_close(down, right.T)
    assert (down.diff(dim=0) > 0).all() and down[7].abs().max() < 1e-6


def test_pretrained_weights_are_held_to_full_coverage(tmp_path):
    backbone = build()
    state = {f'backbone.{name}': value for name, value in backbone.state_dict().items()}
    torch.save({'state_dict': state}, tmp_path / 'whole.pth')
    loaded = dict(type='Pretrained', checkpoint=str(tmp_path / 'whole.pth'), prefix='backbone.')
    other = Swin(ARCH, img_size=64, window_size=4, init_cfg=loaded)
    other.init_weights()
    assert torch.equal(other.stages[1].blocks[0].norm1.weight,
                       backbone.stages[1].blocks[0].norm1.weight)  # fmt: skip

    del state['backbone.stages.0.blocks.0.norm2.bias']
    torch.save({'state_dict': state}, tmp_path / 'part.pth')
    other.init_cfg = dict(loaded, checkpoint=str(tmp_path / 'part.pth'))
    with pytest.raises(UserError, match='stages.0.blocks.0.norm2.bias'):
        other.init_weights()


def of_earlier_versions(state, prefix=''):
    """Weights by the names that mmpretrain's first Swin had."""
    old = {name.replace('norm2.', 'norm.') if name.startswith(f'{prefix}norm2.') else name: value
           for name, value in state.items()}  # fmt: skip
    masks = torch.zeros(16, 16, 16)
    return old | {f'{prefix}stages.{stage}.blocks.1.attn.attn_mask': masks for stage in range(3)}


def test_weights_of_mmpretrains_earlier_versions_load_as_theirs_do(tmp_path):
    backbone = build()
    old = of_earlier_versions(backbone.state_dict())
    theirs = SwinTransformer(arch=ARCH, img_size=64, window_size=4, out_indices=(2,))
    theirs.load_state_dict(dict(old), strict=True)

    directly, strictly = (Swin(ARCH, img_size=64, window_size=4) for _ in range(2))
    directly.load_state_dict(dict(old), strict=True)
    whole = {f'backbone.{name}': value for name, value in old.items()}
    torch.save({'state_dict': whole}, tmp_path / 'old.pth')
    strictly.init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'old.pth'),
                             prefix='backbone.')  # fmt: skip
    strictly.init_weights()

    for loaded in (directly, strictly):
        for name, value in backbone.state_dict().items():
            assert torch.equal(loaded.state_dict()[name], value), name


def test_classifiers_of_mmpretrains_earlier_versions_load(tmp_path):
    head = dict(type='LinearClsHead', num_classes=5, in_channels=48)
    backbone = dict(type='Swin', arch=ARCH, img_size=64, window_size=4)
    neck = dict(type='GlobalAveragePooling')
    model = MODELS.build(dict(type='ImageClassifier', backbone=backbone, neck=neck, head=head))
    torch.save(of_earlier_versions(model.state_dict(), 'backbone.'), tmp_path / 'old.pth')
    with torch.no_grad():
        model.backbone.norm2.weight.zero_()

    load_weights(model, str(tmp_path / 'old.pth'))

    assert (model.backbone.norm2.weight == 1).all()


def test_a_table_of_no_square_window_is_refused():
    name = 'stages.0.blocks.0.attn.w_msa.relative_position_bias_table'
    state = build().state_dict()
    state[name] = torch.zeros(35, 2)

    with pytest.raises(UserError, match='has 35 rows, which are the offsets of no square window'):
        build().load_state_dict(state)


def test_norms_of_further_outputs_start_anew_and_that_is_said(tmp_path, run_log):
    torch.save(build().state_dict(), tmp_path / 'classifier.pth')
    loaded = dict(type='Pretrained', checkpoint=str(tmp_path / 'classifier.pth'))
    detector = Swin(ARCH, img_size=64, window_size=4, out_indices=(0, 1, 2), init_cfg=loaded)
    detector.init_weights()

    assert (detector.norm0.weight == 1).all() and (detector.norm1.bias == 0).all()
    assert not (detector.norm2.weight == 1).all()
    lines = [text for _, text in run_log if 'starts anew' in text]
    assert [line.split()[0] for line in lines] == ['norm0', 'norm1']


def test_a_norm_of_no_output_is_left_out_and_that_is_said(tmp_path, run_log):
    torch.save(build().state_dict(), tmp_path / 'classifier.pth')
    loaded = dict(type='Pretrained', checkpoint=str(tmp_path / 'classifier.pth'))
    Swin(ARCH, img_size=64, window_size=4, out_indices=(0, 1), init_cfg=loaded).init_weights()

    assert any(text.startswith('norm2 is left out') for _, text in run_log)


@pytest.mark.parametrize('lost', [['norm2.weight'], ['norm2.weight', 'norm2.bias'], ['norm0.bias']])
def test_norms_that_are_lost_are_missed(tmp_path, lost):
    state = build(out_indices=(0, 2)).state_dict()
    for name in lost:
        del state[name]
    torch.save(state, tmp_path / 'part.pth')
    loaded = dict(type='Pretrained', checkpoint=str(tmp_path / 'part.pth'))
    backbone = Swin(ARCH, img_size=64, window_size=4, out_indices=(0, 2), init_cfg=loaded)

    with pytest.raises(UserError, match=lost[0]):
        backbone.init_weights()


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
        (dict(out_indices=3), r'out_indices \(3,\) is not a choice of layers 0..2'),
        (dict(frozen_stages=4), 'frozen_stages 4 is none of -1..3'),
        (dict(frozen_stages=1.0), 'frozen_stages 1.0 is none of -1..3'),
        (dict(mlp_ratio=-1), 'mlp_ratio -1 is not'),
        (dict(norm_cfg=dict(type='BN')), "norm_cfg of type 'BN' norms maps"),
        (dict(norm_cfg=dict(type='IN')), "norm_cfg of type 'IN' norms maps"),
        (dict(norm_cfg=dict(type='GN', num_groups=2)), "norm_cfg of type 'GN' norms maps"),
        (dict(norm_cfg=dict(type='LN2d')), "norm_cfg of type 'LN2d' norms maps"),
        (dict(arch=dict(ARCH, embed_dims='96')), "embed_dims '96' is not a whole number"),
        (dict(window_size=1), 'window_size 1 is not a whole number from 2 up'),
    ],
)
def test_what_has_no_meaning_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        build(**options)
