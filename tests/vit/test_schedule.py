"""What the layers of a schedule are, and one error for each schedule that has no meaning."""

import pytest
import torch

from mmtoken.errors import UserError
from mmtoken.vit import TokenViT

ARCH = dict(embed_dims=24, num_layers=4, num_heads=3, feedforward_channels=48)
STAGES = [
    dict(depth=2, embed_dims=24, num_heads=3, pattern='FS'),
    dict(depth=1, embed_dims=36, num_heads=3, feedforward_channels=60),
    dict(depth=2, embed_dims=48, num_heads=4),
]


def staged(changes=None, **options):
    stages = [dict(stage) for stage in STAGES]
    for index, change in (changes or {}).items():
        stages[index] |= change
    return TokenViT(dict(stages=stages), 32, 4, **options)


def test_stages_say_widths_heads_and_patterns():
    backbone = staged(out_indices=(1, 2, 4), out_type='featmap')

    assert [layer.attn.proj.in_features for layer in backbone.layers] == [24, 24, 36, 48, 48]
    assert [layer.attn.num_heads for layer in backbone.layers] == [3, 3, 3, 4, 4]
    assert [layer.ffn.feedforward_channels for layer in backbone.layers] == [96, 96, 60, 192, 192]
    assert [layer.attn.shares for layer in backbone.layers] == [False, True, False, False, False]
    assert list(backbone.pools) == ['2', '3']
    assert backbone.out_strides == (4, 8, 16)
    assert backbone.out_channels == (24, 36, 48)
    shapes = [tuple(out.shape) for out in backbone(torch.randn(1, 3, 32, 40))]
    assert shapes == [(1, 24, 8, 10), (1, 36, 4, 5), (1, 48, 2, 3)]


def test_every_stage_has_a_norm_and_those_without_output_are_frozen():
    backbone = staged(out_indices=(2,), out_type='featmap')

    learning = {n for n, p in backbone.named_parameters() if p.requires_grad and 'norms' in n}
    assert learning == {'stage_norms.1.weight', 'stage_norms.1.bias'}
    assert not backbone.ln1.weight.requires_grad
    assert set(backbone.state_dict()) == set(staged().state_dict())


def test_norms_of_frozen_stages_are_frozen():
    backbone = staged(out_indices=(1, 2, 4), out_type='featmap', frozen_stages=3).train()

    assert not backbone.stage_norms['1'].weight.requires_grad
    assert not backbone.stage_norms['1'].training
    assert backbone.ln1.weight.requires_grad


def test_norms_are_as_deep_as_what_follows():
    backbone = staged()

    assert backbone.get_layer_depth('stage_norms.0.weight') == (6, 7)
    assert backbone.get_layer_depth('pools.3.conv.weight') == (4, 7)


@pytest.mark.parametrize(
    ('options', 'named'),
    [
        (dict(pattern='SFFF'), r"pattern 'SFFF' starts with S"),
        (dict(pattern='FSX F'), r"pattern 'FSX F' is not a letter F or S.*'FSFS'"),
        (dict(pattern='FS'), r"pattern 'FS' is not a letter F or S for each of the 4 layers"),
        (dict(pattern=['F'] * 4), r'is not a letter F or S'),
        (dict(pattern='FSSF', pool_before=(2,)), r'layer 2 share a map across the pool'),
        (
            dict(pattern='FSFS', window_size=3, global_attn_indexes=(-1,)),
            r'layer 3 shares the map of layer 2, and only one of them.*name both, or neither',
        ),
        (dict(pool_before=(1,), pool=[{}, {}]), r'pool has 2 configs for the 1 layers'),
    ],
)
def test_schedules_without_meaning_are_refused(options, named):
    with pytest.raises(UserError, match=named):
        TokenViT(ARCH, 32, 4, **options)


@pytest.mark.parametrize(
    ('changes', 'options', 'named'),
    [
        ({}, dict(pattern='FSFFF'), r"pattern 'FSFFF' is set beside stages"),
        ({}, dict(pool_before=(1,)), r'pool_before \(1,\) is set beside stages'),
        ({2: dict(pattern='SF')}, {}, r"stages\[2\].pattern 'SF' starts with S"),
        ({0: dict(depth=3)}, {}, r"stages\[0\].pattern 'FS' is not .* 3 layers; use .*'FSF'"),
        ({0: dict(num_heads=[3, 4])}, {}, r'layer 1 of 4 heads shares .* layer 0, which has 3'),
        ({0: dict(num_heads=[3])}, {}, r'stages\[0\].num_heads \[3\] is not one number'),
        ({1: dict(depth=0)}, {}, r'stages\[1\].depth 0'),
        ({1: dict(embed_dims='a')}, {}, r"stages\[1\].embed_dims 'a'"),
        ({1: dict(num_head=3)}, {}, r"stages\[1\] has unknown keys \['num_head'\]"),
        ({1: dict(num_heads=5)}, {}, r'embed_dims 36 is not a multiple of num_heads 5'),
    ],
)
def test_stages_without_meaning_are_refused(changes, options, named):
    with pytest.raises(UserError, match=named):
        staged(changes, **options)


@pytest.mark.parametrize('stages', [[], 'FS', [3], [dict(depth=2)]])
def test_what_is_no_list_of_stages_is_refused(stages):
    with pytest.raises(UserError, match=r'stages'):
        TokenViT(dict(stages=stages), 32, 4)


def test_a_pool_that_cannot_change_the_width_is_named():
    from mmtoken.vit import BasePool

    class Narrow(BasePool):
        stride = 2

        def __init__(self, embed_dims, num_aux_tokens, norm_cfg):
            super().__init__()

    with pytest.raises(UserError, match='Narrow cannot make tokens of 24 channels ones of 36'):
        staged(pool=dict(type=Narrow))
