"""The weights of a checkpoint are found wherever a program of the field has put them."""

from pathlib import Path

import pytest
import torch
from mmengine.model import PretrainedInit
from mmengine.registry import WEIGHT_INITIALIZERS

from mmtoken.errors import UserError
from mmtoken.weights import is_pretrained, read_state, weights_of

WEIGHT, OTHER = torch.arange(3.0), torch.zeros(2)


@pytest.mark.parametrize(
    'checkpoint',
    [
        {'layer.weight': WEIGHT},
        {'state_dict': {'layer.weight': WEIGHT}, 'meta': dict(epoch=3)},
        {'model': {'layer.weight': WEIGHT}, 'model_ema': {'layer.weight': OTHER}, 'epoch': 3},
        {'state_dict': {'layer.weight': WEIGHT}, 'state_dict_ema': {'layer.weight': OTHER}},
        {'state_dict': {'module.layer.weight': WEIGHT}},
        {'model': {'module.layer.weight': WEIGHT}},
        {'_orig_mod.layer.weight': WEIGHT},
        {'module._orig_mod.layer.weight': WEIGHT},
    ],
)
def test_weights_are_found_by_their_own_names(checkpoint):
    weights = weights_of(checkpoint)

    assert list(weights) == ['layer.weight']
    assert weights['layer.weight'] is WEIGHT


@pytest.mark.parametrize('name', ['model', 'state_dict'])
def test_a_parameter_called_as_a_place_is_one(name):
    assert set(weights_of({name: WEIGHT, 'layer.weight': OTHER})) == {name, 'layer.weight'}


@pytest.mark.parametrize('name', ['backbone.module.weight', 'modules.weight'])
def test_the_middle_of_a_name_and_what_only_begins_alike_stay(name):
    assert list(weights_of({name: WEIGHT})) == [name]


def test_the_versions_of_modules_are_kept():
    state = torch.nn.BatchNorm1d(2).state_dict()

    assert weights_of({'state_dict': state})._metadata == state._metadata != {}


@pytest.mark.parametrize(
    ('checkpoint', 'named'),
    [
        ({'student': {'weight': WEIGHT}, 'epoch': 3}, r"\['epoch', 'student'\] and no weights"),
        ({'state_dict': {}}, 'holds nothing and no weights'),
        (WEIGHT, 'holds Tensor and no weights'),
    ],
)
def test_what_holds_no_weights_is_refused(checkpoint, named):
    with pytest.raises(UserError, match=named):
        weights_of(checkpoint)


def test_weights_can_be_saved_as_the_refusal_says(tmp_path):
    model = torch.nn.Linear(3, 2)

    torch.save(model.state_dict(), tmp_path / 'alone.pth')
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'under.pth')

    for name in ('alone.pth', 'under.pth'):
        assert set(read_state(tmp_path / name)) == {'weight', 'bias'}


def test_a_file_in_the_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    torch.save({'weight': WEIGHT}, tmp_path / 'weights.pth')

    assert torch.equal(read_state('~/weights.pth')['weight'], WEIGHT)


@pytest.mark.parametrize('checkpoint', [None, '', 'nothing.pth', Path('nothing.pth')])
def test_a_file_that_is_not_there_is_refused(checkpoint):
    with pytest.raises(UserError, match=f'checkpoint {checkpoint} does not exist'):
        read_state(checkpoint)


class OwnInit(PretrainedInit):
    """A user's own way to load a checkpoint."""


@pytest.mark.parametrize(
    'kind',
    [
        'Pretrained',
        'mmengine.Pretrained',
        'mmpretrain.Pretrained',
        'mmengine.model.PretrainedInit',
        'mmengine.model.weight_init.PretrainedInit',
        'OwnInit',
        PretrainedInit,
    ],
)
def test_pretrained_is_known_however_it_is_written(kind, monkeypatch):
    monkeypatch.setitem(WEIGHT_INITIALIZERS.module_dict, 'OwnInit', OwnInit)

    assert is_pretrained(dict(type=kind, checkpoint='weights.pth'))


@pytest.mark.parametrize(
    'init_cfg', [None, {}, dict(type='Xavier'), dict(type='PretrainedInit'), dict(type=''), 'a']
)
def test_what_is_not_pretrained_is_not(init_cfg):
    assert not is_pretrained(init_cfg)
