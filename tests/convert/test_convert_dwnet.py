"""Names of the released DWNet become ours, all of them, or are refused; both ways of merging."""

import pytest
import torch

from mmtoken.convert.dwnet import convert_dwnet
from mmtoken.errors import UserError

BLOCK = 'layers.2.blocks.1.'


@pytest.mark.parametrize(
    ('old', 'new'),
    [
        ('patch_embed.proj.weight', 'patch_embed.projection.weight'),
        ('patch_embed.norm.bias', 'patch_embed.norm.bias'),
        (f'{BLOCK}attn2conv.conv0.weight', 'stages.2.blocks.1.attn.conv0.weight'),
        (f'{BLOCK}attn2conv.bn0.running_var', 'stages.2.blocks.1.attn.bn0.running_var'),
        (f'{BLOCK}attn2conv.conv.bias', 'stages.2.blocks.1.attn.conv.bias'),
        (f'{BLOCK}attn2conv.conv.conv1.0.weight', 'stages.2.blocks.1.attn.conv.conv1.0.weight'),
        (f'{BLOCK}attn2conv.bn2.num_batches_tracked',
         'stages.2.blocks.1.attn.bn2.num_batches_tracked'),
        (f'{BLOCK}bn.running_mean', 'stages.2.blocks.1.norm2.running_mean'),
        (f'{BLOCK}mlp.fc1.bias', 'stages.2.blocks.1.ffn.layers.0.0.bias'),
        (f'{BLOCK}mlp.fc2.weight', 'stages.2.blocks.1.ffn.layers.1.weight'),
        ('norm0.running_mean', 'norm0.running_mean'),
    ],
)  # fmt: skip
def test_weights_of_the_backbone_are_renamed_and_pass_through(old, new):
    value = torch.randn(8)

    (found,) = convert_dwnet({old: value}).items()

    assert found[0] == f'backbone.{new}' and found[1] is value


def test_the_last_norm_of_a_classifier_is_that_of_its_last_stage():
    state = {'norm.weight': torch.ones(4), 'layers.0.blocks.0.bn.bias': torch.ones(4),
             'layers.3.blocks.1.bn.bias': torch.ones(4), 'head.bias': torch.ones(5)}  # fmt: skip

    names = [*convert_dwnet(state)]

    assert names[0] == 'backbone.norm3.weight' and names[-1] == 'head.fc.bias'


@pytest.mark.parametrize('part', ['norm.weight', 'reduction.weight'])
def test_channels_of_a_merging_are_put_in_the_order_of_ours(part):
    # Token by token in the order (row, column) 00, 10, 01, 11; then channel by channel, 00, 01, 10.
    released = torch.tensor([0, 1, 20, 21, 10, 11, 30, 31])

    (found,) = convert_dwnet({f'layers.0.downsample.{part}': released}).values()

    assert found.tolist() == [0, 10, 20, 30, 1, 11, 21, 31]


def test_absolute_positions_that_are_a_map_become_those_of_tokens():
    positions = torch.arange(12.0).view(1, 2, 2, 3)
    tokens = torch.randn(1, 6, 2)

    (of_map,) = convert_dwnet({'absolute_pos_embed': positions}).values()
    (of_tokens,) = convert_dwnet({'absolute_pos_embed': tokens}).values()

    assert of_map.shape == (1, 6, 2) and of_map[0, :, 1].tolist() == [6, 7, 8, 9, 10, 11]
    assert of_tokens is tokens


@pytest.mark.parametrize(
    'name',
    [
        f'{BLOCK}attn.qkv.weight',
        f'{BLOCK}attn2conv.conv1.weight',
        f'{BLOCK}norm1.weight',
        'layers.0.downsample.proj.weight',
        'layers.0.downsample.reduction.bias',
        f'{BLOCK}attn2conv.conv.extra',
        f'{BLOCK}mlp.fc1.extra',
        'patch_embed.proj.extra',
        'backbone.norm0.weight',
        'cls_token',
    ],
)
def test_an_unknown_name_is_refused(name):
    with pytest.raises(UserError, match=f"'{name}' is not a weight of a 'dwnet' model; check that"):
        convert_dwnet({name: torch.zeros(1)})
