"""`load_from` and tools/test.py's checkpoint cover the model, or the user is told what does not."""

from types import SimpleNamespace
from uuid import uuid4

import pytest
import torch
from mmengine.model import BaseModel, BaseTTAModel
from mmengine.runner import Runner
from torch import nn

from mmtoken.errors import UserError
from mmtoken.runtime.strict_load import StrictLoadHook


class AverageTTA(BaseTTAModel):
    """A test-time-augmentation wrapper, as tools/test.py --tta puts around a model."""

    def merge_preds(self, data_samples_list):
        return data_samples_list


class Linear(nn.Linear):
    """A model as that wrapper wants it."""

    def test_step(self, data):
        return data


class Model(BaseModel):
    """A model of one layer."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return self.layer(inputs)


def load(model, state, **options):
    StrictLoadHook(**options).after_load_checkpoint(
        SimpleNamespace(model=model, _load_from='epoch_3.pth'), {'state_dict': state}
    )


@pytest.mark.parametrize('wrap', [lambda m: m, lambda m: AverageTTA(m)], ids=['plain', 'tta'])
@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_a_full_checkpoint_is_accepted(wrap, prefix):
    model = Linear(3, 2)

    load(wrap(model), {prefix + name: value for name, value in model.state_dict().items()})


@pytest.mark.parametrize(
    ('state', 'named'),
    [
        ({'weight': torch.zeros(2, 3)}, r'1 of 2 tensors, 1 missing \(bias\)'),
        ({'weight': torch.zeros(2, 3), 'bias': torch.zeros(3)}, r'1 mismatched \(bias\)'),
        (
            {'weight': torch.zeros(2, 3), 'bias': torch.zeros(2), 'gain': torch.zeros(1)},
            r'1 unexpected \(gain\)',
        ),
    ],
)
def test_partial_coverage_is_an_error_unless_allowed(state, named):
    with pytest.raises(UserError, match=named):
        load(nn.Linear(3, 2), state)

    load(nn.Linear(3, 2), state, allow_partial=True)


def test_what_follows_from_a_window_may_be_missing():
    model = nn.Linear(3, 2)
    model.register_buffer('relative_position_index', torch.zeros(4))

    load(model, nn.Linear(3, 2).state_dict())


@pytest.mark.parametrize(
    'state', [{'other.weight': torch.zeros(2, 3)}, {'weight': torch.zeros(3)}, {'a': torch.ones(1)}]
)
def test_weights_of_which_nothing_fits_are_never_allowed(state):
    with pytest.raises(UserError, match=r'0 of 2 tensors, .* have trained\)$'):
        load(nn.Linear(3, 2), state, allow_partial=True)


def test_the_error_names_the_file_and_the_key_that_allows_it():
    switch = r'set default_hooks\.strict_load\.allow_partial=True'

    with pytest.raises(UserError, match=rf'the weights of epoch_3\.pth do not .* {switch}'):
        load(nn.Linear(3, 2), {'bias': torch.zeros(2)})


@pytest.mark.parametrize(
    'content',
    [
        lambda state: state,
        lambda state: {'state_dict': state},
        lambda state: {'model': state, 'epoch': 3},
        lambda state: {'model': {f'module.{name}': value for name, value in state.items()}},
        lambda state: {'state_dict': {f'_orig_mod.{name}': v for name, v in state.items()}},
    ],
)
def test_the_runner_loads_what_was_compared(tmp_path, content):
    source = Model()
    torch.save(content(source.state_dict()), tmp_path / 'weights.pth')
    hooks = dict(strict_load=dict(type='mmpretrain.StrictLoadHook'))
    runner = Runner(Model(), str(tmp_path), default_hooks=hooks, experiment_name=uuid4().hex)

    runner.load_checkpoint(str(tmp_path / 'weights.pth'))

    assert torch.equal(runner.model.layer.weight, source.layer.weight)
