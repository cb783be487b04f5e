"""Names of CAT's released code become ours, all of them, or are refused."""

import pytest
import torch

from mmtoken.cat import CAT
from mmtoken.convert.cat import convert_cat
from mmtoken.errors import UserError

ARCH = dict(embed_dims=8, depths=(2, 1), num_heads=(2, 2))


def names_of(name):
    """What a converter makes of one name."""
    return list(convert_cat({name: torch.zeros(1, 4, 2, 3)}))


@pytest.mark.parametrize(
    ('name', 'ours'),
    [
        ('ape', 'absolute_pos_embed'),
        ('patch_embed.proj.weight', 'patch_embed.projection.weight'),
        ('patch_embed.norm.bias', 'patch_embed.norm.bias'),
        ('layers.0.pre_ipsa_blocks.0.norm1.weight', 'stages.0.blocks.0.norm1.weight'),
        ('layers.0.cpsa_blocks.0.norm2.bias', 'stages.0.blocks.1.norm2.bias'),
        ('layers.2.post_ipsa_blocks.0.mlp.fc1.weight', 'stages.2.blocks.2.ffn.layers.0.0.weight'),
        ('layers.2.pre_ipsa_blocks.2.mlp.fc2.bias', 'stages.2.blocks.6.ffn.layers.1.bias'),
        ('layers.1.pre_ipsa_blocks.1.attn.qkv.weight', 'stages.1.blocks.3.attn.w_msa.qkv.weight'),
        ('layers.1.cpsa_blocks.1.attn.qkv.weight', 'stages.1.blocks.4.attn.qkv.weight'),
        ('layers.1.cpsa_blocks.1.attn.proj.bias', 'stages.1.blocks.4.attn.proj.bias'),
        ('layers.1.post_ipsa_blocks.1.attn.proj.bias', 'stages.1.blocks.5.attn.w_msa.proj.bias'),
        (
            'layers.0.post_ipsa_blocks.0.attn.relative_position_bias_table',
            'stages.0.blocks.2.attn.w_msa.relative_position_bias_table',
        ),
        ('norm3.weight', 'norm3.weight'),
    ],
)
def test_names_of_the_backbone(name, ours):
    assert names_of(name) == [f'backbone.{ours}']


def test_the_norm_of_a_classifier_is_that_of_its_last_stage():
    names = ('layers.0.cpsa_blocks.0.norm1.bias', 'layers.12.cpsa_blocks.0.norm1.bias')
    state = dict.fromkeys((*names, 'norm.bias', 'head.bias'), torch.zeros(1))

    assert {'backbone.norm12.bias', 'head.fc.bias'} <= set(convert_cat(state))


def test_maps_of_positions_become_rows_and_rows_stay():
    rows = torch.arange(24.0).view(1, 6, 4)
    maps = rows.transpose(1, 2).unflatten(2, (2, 3)).contiguous()

    for given in (rows, maps):
        found = convert_cat({'ape': given})['backbone.absolute_pos_embed']
        assert torch.equal(found, rows) and found.is_contiguous()


def test_channels_of_mergings_are_those_of_their_tokens_in_our_order():
    """The released code has the tokens 00, 10, 01, 11 side by side, and ours their channels."""
    places = torch.tensor([0.0, 10.0, 1.0, 11.0]).repeat_interleave(2)
    found = convert_cat({f'layers.0.downsample.{part}': places.expand(shape) for part, shape in
                         (('norm.weight', (8,)), ('reduction.weight', (4, 8)))})  # fmt: skip

    expected = torch.tensor([0.0, 1.0, 10.0, 11.0]).repeat(2)
    prefix = 'backbone.stages.0.downsample.'
    assert torch.equal(found[prefix + 'norm.weight'], expected)
    assert torch.equal(found[prefix + 'reduction.weight'], expected.expand(4, 8))


def test_every_weight_of_a_model_has_a_released_name():
    """Names of the released code for each of ours, converted, are ours again, each once."""
    backbone = CAT(ARCH, img_size=32, window_size=4, out_indices=(0, 1))
    kinds = ('pre_ipsa', 'cpsa', 'post_ipsa')
    given = {}
    for name, value in backbone.state_dict().items():
        old = name.replace('absolute_pos_embed', 'ape').replace('projection', 'proj')
        old = old.replace('w_msa.', '').replace('stages.', 'layers.')
        old = old.replace('ffn.layers.0.0', 'mlp.fc1').replace('ffn.layers.1', 'mlp.fc2')
        start, found, rest = old.partition('.blocks.')
        if found:
            index, _, rest = rest.partition('.')
            old = f'{start}.{kinds[int(index) % 3]}_blocks.{int(index) // 3}.{rest}'
        given[old] = value

    converted = convert_cat(given)

    assert set(converted) == {f'backbone.{name}' for name in backbone.state_dict()}


@pytest.mark.parametrize(
    'name',
    [
        'layers.0.extra',
        'layers.0.blocks.0.norm1.weight',
        'layers.0.cpsa_blocks.0.attn.relative_position_bias_table',
        'layers.0.pre_ipsa_blocks.0.attn.q_bias',
        'layers.0.downsample.extra',
        'patch_embed.slice_emb.weight',
        'norm.running_mean',
        'cls_token',
    ],
)
def test_unknown_names_are_refused(name):
    with pytest.raises(UserError, match=f"'{name}' is not a weight of a 'cat' model; check"):
        convert_cat({name: torch.zeros(1)})
