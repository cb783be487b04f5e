"""PSViT's presets, its two poolings, and what its options may not be."""

import pytest
import torch
import torch.nn.functional as F
from explicit_attention import explicit_trace
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mmtoken.errors import UserError
from mmtoken.psvit import PSViT, SequencePool, TokenPool
from mmtoken.tokens import Tokens
from mmtoken.vit import TokenViT, attention_map

SMALL = [
    dict(depth=2, embed_dims=12, num_heads=2, pattern='FS'),
    dict(depth=2, embed_dims=24, num_heads=3, pattern='FF'),
    dict(depth=1, embed_dims=24, num_heads=3),
]
PLAIN = dict(embed_dims=24, num_layers=3, num_heads=3, feedforward_channels=48)


@pytest.mark.parametrize(
    ('arch', 'tokens', 'millions', 'gmacs'),
    [
        ('1d-tiny', [197, 99, 50], 13.64, 1.232),
        ('2d-tiny', [196, 49, 16], 21.19, 1.233),
        ('1d-small', [197, 99, 50], 40.34, 4.071),
        ('2d-small', [196, 49, 16], 83.26, 4.709),
    ],
)
def test_presets_cost_what_their_table_says(arch, tokens, millions, gmacs, monkeypatch):
    with torch.device('meta'):
        # The last layer of each stage.
        ends = {plan.stage: layer for layer, plan in enumerate(PSViT(arch).plans)}
        backbone = PSViT(arch, out_indices=[*ends.values()], out_type='raw').eval()
    # On the meta device nothing is kept, and what is formed again would count again.
    monkeypatch.setitem(attention_map.KEPT_KEYS, 'meta', 512)
    with (
        torch.device('meta'),
        sdpa_kernel(SDPBackend.MATH),
        FlopCounterMode(display=False) as flops,
    ):
        outs = backbone(torch.zeros(1, 3, 224, 224))

    assert [out.shape[1] for out in outs] == tokens
    width = backbone.plans[-1].embed_dims
    # The table leaves out the norms after pools and those of outputs before the last.
    counted = [
        p for n, p in backbone.named_parameters() if 'stage_norms' not in n and '.norm.' not in n
    ]
    assert round((sum(p.numel() for p in counted) + 1000 * (width + 1)) / 1e6, 2) == millions
    assert round((flops.get_total_flops() / 2 + 1000 * width) / 1e9, 3) == gmacs


def test_short_names_are_presets_too():
    with torch.device('meta'):
        assert PSViT('1d-ti').plans == PSViT('1d-tiny').plans
        assert PSViT().plans == PSViT('2d-tiny').plans


@pytest.mark.parametrize(
    ('pooling', 'kinds', 'out_strides', 'shape'),
    [
        ('1d', [SequencePool] * 2, (4, (4, 8), 8), (1, 24)),
        ('2d', [TokenPool] * 2, (4, 8, 16), (1, 24)),
    ],
)
def test_pooling_decides_pools_tokens_and_output(pooling, kinds, out_strides, shape):
    backbone = PSViT(stages=SMALL, pooling=pooling, img_size=32, patch_size=4)
    maps = PSViT(
        stages=SMALL, pooling=pooling, img_size=32, patch_size=4, out_indices=(1, 3, 4),
        out_type='featmap',
    )  # fmt: skip

    assert [type(pool) for pool in backbone.pools.values()] == kinds
    assert backbone.num_aux_tokens == (1 if pooling == '1d' else 0)
    assert backbone(torch.randn(1, 3, 32, 32))[0].shape == shape
    assert maps.out_strides == out_strides
    sides = [tuple(out.shape[2:]) for out in maps(torch.randn(1, 3, 28, 36))]
    assert sides == ([(7, 9), (7, 5), (4, 5)] if pooling == '1d' else [(7, 9), (4, 5), (2, 3)])


def test_a_class_token_that_is_asked_for_is_there():
    assert PSViT('2d-tiny', out_type='cls_token').num_aux_tokens == 1
    assert PSViT('2d-tiny').num_aux_tokens == 0


@pytest.mark.parametrize('length', [8, 9])
@pytest.mark.parametrize('along', ['rows', 'columns'])
def test_along_a_line_it_is_a_convolution_and_a_maximum_over_the_sequence(length, along):
    torch.manual_seed(0)
    grid = (1, length) if along == 'rows' else (length, 1)
    pool = SequencePool(6, along, num_aux_tokens=1, out_dims=10)
    x = torch.randn(2, 1 + length, 6)

    pooled = pool(Tokens(x, grid, 1))

    weight = pool.conv.weight.flatten(2)
    sequence = F.conv1d(x[:, 1:].transpose(1, 2), weight, pool.conv.bias, padding=1)
    sequence = F.max_pool1d(sequence, 2, ceil_mode=True).transpose(1, 2)
    expected = pool.norm(torch.cat([pool.aux(x[:, :1]), sequence], dim=1))
    torch.testing.assert_close(pooled.x, expected)
    assert max(pooled.grid) == -(-length // 2)


@pytest.mark.parametrize('along', ['rows', 'columns'])
def test_no_token_joins_the_end_of_one_line_to_the_next(along):
    pool = SequencePool(4, along)
    x = torch.randn(1, 12, 4)
    changed = x.clone().unflatten(1, (3, 4))
    (changed[:, 1] if along == 'rows' else changed[:, :, 1]).add_(1)

    before, after = (pool(Tokens(t, (3, 4), 0)).feature_map() for t in (x, changed.flatten(1, 2)))

    moved = (before != after).any(dim=1)[0]
    assert moved.any(dim=1).tolist() == ([False, True, False] if along == 'rows' else [True, True])
    if along == 'columns':
        assert moved.any(dim=0).tolist() == [False, True, False, False]


def test_the_trace_is_the_mean_of_the_means_that_are_read():
    pool = SequencePool(4, 'rows')

    (row,) = pool.pool_maps(torch.tensor([[[[0.0, 6.0, 12.0, 0.0, 24.0]]]]))[0]

    # Means of three neighbors, fewer at the ends: 3, 6, 6, 12, 12; of two of them: 4.5, 9, 12.
    assert row.flatten().tolist() == [4.5, 9.0, 12.0]


@pytest.mark.parametrize('pooling', ['1d', '2d'])
@pytest.mark.parametrize('projection', ['LinearProjection', 'LIFEProjection'])
def test_labels_that_ride_along_keep_summing_to_one(pooling, projection):
    backbone = PSViT(
        stages=SMALL, pooling=pooling, img_size=32, patch_size=4,
        projection=dict(type=projection),
    ).eval()  # fmt: skip
    count = 64 + backbone.num_aux_tokens
    labels = torch.rand(2, count, 3).softmax(dim=-1)

    _, after = backbone(torch.randn(2, 3, 32, 32), labels)

    torch.testing.assert_close(after.sum(-1), torch.ones(after.shape[:2]))
    assert not torch.allclose(after[:, :1], labels[:, :1])


def test_its_trace_is_the_explicit_product():
    torch.manual_seed(0)
    backbone = PSViT(stages=SMALL, pooling='2d', img_size=32, patch_size=4).eval()
    for parameter in backbone.layers.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    images, trace = torch.randn(2, 3, 32, 32), torch.rand(2, 64, 2)

    with torch.no_grad():
        _, found = backbone(images, trace)
        expected = explicit_trace(backbone, images, trace)

    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ('pool', 'strides'),
    [
        (dict(norm_cfg=dict(eps=1e-3)), [(1, 2), (2, 1)]),
        (dict(along='columns'), [(2, 1), (2, 1)]),
        ([dict(norm_cfg=dict(eps=1e-3)), {}], [(1, 2), (2, 1)]),
        ({}, [(1, 2), (2, 1)]),
    ],
)
def test_pools_that_name_no_type_are_of_the_kind_that_pooling_asks_for(pool, strides):
    pools = PSViT(stages=SMALL, pooling='1d', pool=pool, img_size=32, patch_size=4).pools.values()

    assert all(isinstance(pool, SequencePool) for pool in pools)
    assert [pool.stride for pool in pools] == strides
    assert next(iter(pools)).norm.eps == (1e-3 if 'norm_cfg' in str(pool) else 1e-6)


@pytest.mark.parametrize('pool_before', [(1, 2), (1, -1), (2, 1), (-1, 2, 1)])
def test_lines_take_turns_from_layer_to_layer(pool_before):
    options = dict(img_size=32, patch_size=4, pool_before=pool_before)

    pools = PSViT(PLAIN, pooling='1d', **options).pools

    assert {layer: pool.stride for layer, pool in pools.items()} == {'1': (1, 2), '2': (2, 1)}


def test_a_plain_schedule_is_a_token_vits():
    options = dict(img_size=32, patch_size=4, pool_before=(1, 2), pattern='FFF')

    plain = PSViT(PLAIN, num_aux_tokens=1, **options)

    reference = TokenViT(PLAIN, **options)
    assert {n: p.shape for n, p in plain.named_parameters()} == {
        n: p.shape for n, p in reference.named_parameters()
    }


@pytest.mark.parametrize(
    ('options', 'named'),
    [
        (dict(arch='2d-tiny', stages=SMALL), r"arch '2d-tiny' is set beside stages"),
        (dict(arch='2d-tiny', pooling='1d'), r"pooling '1d' is not that of .* arch '1d-tiny'"),
        (dict(pooling='3d'), r"pooling '3d' is unknown; use one of \('1d', '2d'\)"),
        (dict(arch='3d-tiny'), r"arch '3d-tiny' is unknown; use one of \['1d-s'"),
        (dict(stages=SMALL, pool_before=(1,)), r'pool_before \(1,\) is set beside stages'),
        (dict(stages=SMALL[:1], pool=dict(type='TokenPool')), r'pool is set, and pool_before'),
        (dict(stages=SMALL, pooling='1d', pool_before=(1,)), r'pool_before \(1,\) is set beside'),
        (dict(arch=PLAIN, pooling='1d', pool_before='1'), r"pool_before \('1',\) is not a choice"),
        (
            dict(stages=SMALL, pooling='1d', pool=[dict(along='rows')]),
            r'pool has 1 configs for the 2 layers that are pooled before, \(2, 4\)',
        ),
        (
            dict(stages=SMALL, pooling='1d', pool=dict(type='TokenPool')),
            "'1d' is set beside a pool",
        ),
        (
            dict(stages=SMALL, pooling='2d', pool=[dict(type='SequencePool')] * 2),
            "pooling '2d' is set beside a pool of type SequencePool",
        ),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, named):
    with pytest.raises(UserError, match=named):
        PSViT(**options)


def test_a_line_that_is_neither_is_refused():
    with pytest.raises(UserError, match="along 'row' is unknown"):
        SequencePool(8, 'row')
