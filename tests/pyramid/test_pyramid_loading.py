"""What a pyramid makes of weights of other sizes, options and versions, and of damaged ones."""

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.models import SwinTransformer
from mmpretrain.registry import MODELS
from small_swin import ARCH, build, images

from mmtoken.errors import UserError
from mmtoken.runtime.load_model import load_weights
from mmtoken.swin import Swin
from mmtoken.vit.options import Differing, differing_options
from mmtoken.vit.position import resize_position
from mmtoken.vit.pretrained import compare_state, load_state

LIFE = dict(type='LIFEProjection')
CONVOLVING = dict(embed_dims=12, depths=(1, 1), group_channels=(3, 3))
TABLE = 'stages.0.blocks.0.attn.w_msa.relative_position_bias_table'
OFFSETS = 'stages.0.blocks.0.attn.w_msa.relative_coords_table'


def test_positions_of_another_size_are_resized_and_counted(run_log):
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
    (line,) = [text for _, text in run_log if text.startswith('resized to fit')]
    assert '1 absolute_pos_embed (1, 64, 12) to (1, 256, 12)' in line
    assert ', 2 relative_position_bias_table (25, 2) to (49, 2)' in line

    theirs = SwinTransformer(arch=ARCH, img_size=64, window_size=4, out_indices=(2,))
    index = large.stages[0].blocks[0].attn.w_msa.relative_position_index
    assert torch.equal(index, theirs.stages[0].blocks[0].attn.w_msa.relative_position_index)
    assert large.absolute_pos_embed.shape == (1, 256, 12)
    expected = resize_position(plain['absolute_pos_embed'], (8, 8), (16, 16), 0)
    torch.testing.assert_close(large.absolute_pos_embed, expected)


def test_positions_that_may_be_of_a_square_grid_are_warned_of(run_log):
    square, wide, half = (
        build(img_size=sides, use_abs_pos_embed=True) for sides in (64, (32, 128), (32, 64))
    )
    # Of no other grid; of none that is square; resized; and of the square one or of the wide one.
    for target, source in ((square, square), (half, half), (half, square), (wide, square)):
        target.load_state_dict(source.state_dict(), strict=True)

    (warned,) = [text for level, text in run_log if level == 'WARNING']
    assert 'absolute_pos_embed is taken for positions of the grid 8x32' in warned
    assert 'a grid of 16x16 has as many' in warned
    assert torch.equal(wide.absolute_pos_embed, square.absolute_pos_embed)


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


def test_a_norm_by_its_earlier_name_does_not_replace_todays():
    backbone = build()
    state = backbone.state_dict() | {'norm.weight': torch.ones(48)}

    with pytest.raises(UserError, match=r'1 unexpected \(norm.weight\)'):
        load_state(backbone, state, 'weights')


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


@pytest.mark.parametrize('kind', ['Swin', 'SwinV2', 'CAT'])
def test_one_that_was_built_without_memory_takes_the_tensors_themselves(kind):
    config = dict(type=kind, arch=ARCH, img_size=64, window_size=4)
    made = MODELS.build(config).eval()
    with torch.device('meta'):
        loaded = MODELS.build(config)

    loaded.load_state_dict(made.state_dict(), assign=True)

    torch.testing.assert_close(loaded.eval()(images()), made(images()), rtol=0, atol=0)


def swin_v2(**options):
    return dict(type='SwinV2', arch=ARCH, img_size=64, window_size=4, **options)


def dwnet(**options):
    return dict(type='DWNet', arch=CONVOLVING, img_size=64, **options)


@pytest.mark.parametrize(
    ('own', 'theirs', 'silent'),
    [
        (dict(type='Swin', arch=ARCH), dict(type='Swin', arch=ARCH, qk_scale=0.5), 'qk_scale=0.5'),
        (dict(type='CAT', arch=ARCH), dict(type='CAT', arch=ARCH, qk_scale=0.5), 'qk_scale=0.5'),
        (
            swin_v2(projection=LIFE),
            swin_v2(projection=dict(LIFE, scope='grid')),
            "projection=dict(type='LIFEProjection', scope='grid')",
        ),
    ],
)
def test_weights_of_another_function_are_refused(own, theirs, silent):
    backbone = MODELS.build(own)
    state = MODELS.build(theirs).state_dict()

    with pytest.raises(UserError) as refused:
        load_state(backbone, dict(state), 'weights', theirs)

    assert f'are of a backbone with {silent}, without which another function' in str(refused.value)
    load_state(backbone, dict(state), 'weights', theirs, allow_partial=True)


@pytest.mark.parametrize(
    ('own', 'theirs', 'slight'),
    [
        (dwnet(), dwnet(pad_to_window=True), 'pad_to_window=True'),
        (
            dwnet(),
            dwnet(block_norm_cfg=dict(type='SyncBN', eps=1e-3)),
            "block_norm_cfg=dict(type='SyncBN', eps=0.001)",
        ),
        (
            swin_v2(),
            swin_v2(pretrained_window_sizes=(3, 3, 3)),
            'pretrained_window_sizes=(3, 3, 3)',
        ),
        (
            dict(type='Swin', arch=ARCH),
            dict(type='Swin', arch=ARCH, norm_cfg=dict(eps=1e-6)),
            'norm_cfg=dict(eps=1e-06)',
        ),
    ],
)
def test_what_only_changes_features_is_said(own, theirs, slight, run_log):
    state = MODELS.build(theirs).state_dict()

    load_state(MODELS.build(own), state, 'weights', theirs)

    assert any(f'with {slight}, without which features differ' in text for _, text in run_log)


@pytest.mark.parametrize(
    ('own', 'theirs'),
    [
        # A detector of a classifier's weights, and the names of one thing.
        (swin_v2(pad_small_map=True), swin_v2(pretrained_window_sizes=(4, 4, 4))),
        (swin_v2(projection=dict(LIFE, scope='window')), swin_v2(projection=LIFE)),
        (swin_v2(drop_path_rate=0.3, frozen_stages=1), swin_v2(qkv_bias=True)),
        (dwnet(block_norm_cfg=dict(type='SyncBN')), dwnet()),
        # Static kernels have no groups.
        (dwnet(), dict(dwnet(), arch=dict(CONVOLVING, group_channels=(6, 6)))),
    ],
)
def test_what_changes_nothing_makes_no_difference(own, theirs):
    assert differing_options(MODELS.build(own), theirs) == Differing()


def test_the_options_that_shapes_show_are_named_with_them():
    theirs = swin_v2(qkv_bias=False, mlp_ratio=2.0)
    backbone = MODELS.build(swin_v2())

    with pytest.raises(UserError, match='with mlp_ratio=2.0, qkv_bias=False: set this in the con'):
        load_state(backbone, MODELS.build(theirs).state_dict(), 'weights', theirs)

    # The grids at its image size bound the windows that CPSA is as wide as.
    small = dict(type='CAT', arch=ARCH, window_size=4, img_size=16, use_abs_pos_embed=False)
    state = MODELS.build(small).state_dict()
    for options in (dict(img_size=64), dict(pad_small_map=True)):
        with pytest.raises(UserError, match='img_size=16, the default pad_small_map: set this in'):
            load_state(MODELS.build(small | options), dict(state), 'weights', small)

    other = differing_options(MODELS.build(dict(type='Swin', arch=ARCH)), swin_v2())
    assert other.needed.startswith("backbone=dict(type='SwinV2', arch=dict(embed_dims=12")


@pytest.mark.parametrize(
    ('name', 'value', 'message'),
    [
        (TABLE, torch.zeros(35, 2), 'has 35 rows, which are the offsets of no square window'),
        (TABLE, torch.zeros(36, 2), 'has 36 rows, which are the offsets of no square window'),
        (TABLE, torch.zeros(49), '1 mismatched .*relative_position_bias_table'),
        (OFFSETS, torch.zeros(1, 7, 7, 2), 'whose largest number is 0, is no table of the offsets'),
        (OFFSETS, torch.full((1, 7, 7, 2), torch.nan), 'number is nan, is no table of the offsets'),
        (OFFSETS, torch.zeros(0), 'shape .0,., .* is no table of the offsets'),
    ],
)
def test_damaged_positions_are_refused(name, value, message):
    kind = 'SwinV2' if name == OFFSETS else 'Swin'
    backbone = MODELS.build(dict(swin_v2(), type=kind))
    state = backbone.state_dict() | {name: value}

    with pytest.raises(UserError, match=message):
        load_state(backbone, state, 'weights')
