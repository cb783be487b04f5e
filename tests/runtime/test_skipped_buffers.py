"""Of a step that is skipped, the buffers that the forward pass changed are as before, too."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from fragile_models import Fragile, fragile_runner
from mmengine.optim import OptimWrapper
from torch import nn
from torch.optim import SGD

from mmtoken.runtime.guards.non_finite_hook import NonFiniteHook
from mmtoken.runtime.safe_loading import load_from_file


class Normalized(Fragile):
    """Has the statistics of a batch norm; an infinite input reaches them."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(2)

    def forward(self, word: str, mode: str = 'loss') -> dict[str, torch.Tensor]:
        inputs = torch.arange(8.0).reshape(4, 2)
        found = self.norm(inputs * float('inf') if word == 'inf input' else inputs + len(word))
        return super().forward('good') | dict(loss_norm=found.square().sum())


def saved(folder: Path, words: Sequence[str], skip: int = 3, every: int = 1) -> dict:
    """What a run saves in the end."""
    model = Normalized()
    wrapper = OptimWrapper(SGD(model.parameters(), lr=0.01), accumulative_counts=every)
    fragile_runner(folder, words, [NonFiniteHook(skip)], wrapper, model).train()
    return load_from_file(folder / 'epoch_1.pth')['state_dict']


@pytest.mark.parametrize(
    ('words', 'rest', 'every'),
    [
        (['a', 'inf input', 'abc'], ['a', 'abc'], 1),
        (['inf input', 'inf input', 'abc'], ['abc'], 1),
        # All micro-batches of the step.
        (['a', 'ab', 'abc', 'inf input', 'a', 'ab'], ['a', 'ab', 'a', 'ab'], 2),
    ],
)
def test_a_skipped_step_leaves_the_buffers_alone(tmp_path, words, rest, every):
    found, expected = saved(tmp_path / 'a', words, 3, every), saved(tmp_path / 'b', rest, 3, every)

    assert found['norm.num_batches_tracked'] == len(rest)
    assert all(torch.equal(found[name], value) for name, value in expected.items())
