"""The backbone waits until the heads have learned for a while, also after a resumption."""

import logging
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmtoken.dense import HeadsFirstHook
from mmtoken.errors import UserError


class Detector(nn.Module):
    """A backbone of which one layer is frozen anyway, and a head."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        self.backbone[0].requires_grad_(False)
        self.head = nn.Linear(2, 1)


def train(hook, model, start, stop):
    """Which iterations changed the backbone's second layer, and which the head."""
    runner = SimpleNamespace(model=model, iter=start, logger=logging.getLogger('heads-first'))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    hook.before_train(runner)
    changed = {'backbone': [], 'head': []}
    while runner.iter < stop:
        hook.before_train_iter(runner, runner.iter)
        watched = {'backbone': model.backbone[1].weight, 'head': model.head.weight}
        before = {name: weight.detach().clone() for name, weight in watched.items()}
        model.head(model.backbone(torch.ones(4, 2))).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        for name, weight in watched.items():
            if not torch.equal(weight, before[name]):
                changed[name].append(runner.iter)
        runner.iter += 1
    return changed


def test_the_backbone_learns_after_the_heads():
    changed = train(HeadsFirstHook(iters=2), Detector(), 0, 4)

    assert changed == {'backbone': [2, 3], 'head': [0, 1, 2, 3]}


def test_what_was_frozen_stays_frozen():
    model = Detector()
    train(HeadsFirstHook(iters=1), model, 0, 3)

    assert not model.backbone[0].weight.requires_grad


@pytest.mark.parametrize(('start', 'learns_from'), [(1, 2), (3, 3)])
def test_a_resumed_training_goes_on_where_it_was(start, learns_from):
    changed = train(HeadsFirstHook(iters=2), Detector(), start, 5)

    assert changed['backbone'] == list(range(learns_from, 5))


def test_no_iterations_and_no_backbone_are_named():
    with pytest.raises(UserError, match='iters 0 is not a whole number'):
        HeadsFirstHook(iters=0)
    with pytest.raises(UserError, match='Linear has no backbone'):
        train(HeadsFirstHook(iters=2), nn.Linear(2, 2), 0, 1)
