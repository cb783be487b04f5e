"""`load_from` and tools/test.py's checkpoint cover the model, or the user is told what does not."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.model import BaseTTAModel
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


def test_the_error_names_the_file_and_the_key_that_allows_it():
    switch = r'set default_hooks\.strict_load\.allow_partial=True'

    with pytest.raises(UserError, match=rf'the weights of epoch_3\.pth do not .* {switch}'):
        load(nn.Linear(3, 2), {})
