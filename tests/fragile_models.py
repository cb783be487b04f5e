"""A model of one layer whose steps go wrong where the data say so, and its run."""

from collections.abc import Sequence
from itertools import count
from pathlib import Path

import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import DataLoader

RUNS = count()


class Fragile(BaseModel):
    """A layer with two losses; its data are words that say what is wrong with a step."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.layer = nn.Linear(3, 2)
        for parameter in self.layer.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator)

    def forward(self, word: str, mode: str = 'loss') -> dict[str, torch.Tensor]:
        square = (self.layer(torch.full((1, 3), 4.0)) ** 2).mean()
        extra = square * 0.5
        if word == 'NaN loss':
            extra = extra * float('nan')
        elif word == 'inf loss':  # of finite gradients
            extra = extra + float('inf')
        elif word == 'NaN gradient':  # of a finite loss
            extra = extra + (0 * self.layer.weight).sqrt().sum()
        return dict(loss_square=square, loss_extra=extra, accuracy=square * 100)


def fragile_runner(
    folder: Path,
    words: Sequence[str],
    hooks: Sequence[Hook] = (),
    wrapper: OptimWrapper | None = None,
    model: nn.Module | None = None,
    **options: object,
) -> Runner:
    """A run over some words, one each iteration, that saves its weights after the last one."""
    model = model or Fragile()
    wrapper = wrapper or OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01))
    loader = DataLoader(list(words), batch_size=1, collate_fn=lambda batch: dict(word=batch[0]))
    options.setdefault('train_cfg', dict(by_epoch=True, max_epochs=1))
    return Runner(
        model,
        str(folder),
        train_dataloader=loader,
        optim_wrapper=wrapper,
        custom_hooks=list(hooks),
        experiment_name=f'fragile{next(RUNS)}',
        **options,
    )
