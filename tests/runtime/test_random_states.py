"""Generators go on from their states, which are plain data."""

import io
import random

import numpy as np
import torch

from mmtoken.runtime.resuming.random_states import capture, capture_all, restore, restore_all


def draw():
    """Of each generator, the normal ones too, which keep one for later."""
    return [
        random.random(),
        random.gauss(0, 1),
        np.random.rand(),
        np.random.randn(),
        torch.rand(1).item(),
        torch.randn(1).item(),
    ]


def test_the_same_is_drawn_again():
    draw()
    states = capture()
    expected = draw() + draw()

    draw()
    restore(states)

    assert draw() + draw() == expected


def test_taking_them_draws_nothing():
    states = capture()
    expected = draw()
    restore(states)

    capture_all()

    assert draw() == expected


def test_they_pass_through_a_file_that_is_read_safely():
    file = io.BytesIO()
    random.gauss(0, 1)
    torch.save(capture_all(), file)
    expected = draw()
    file.seek(0)

    restore_all(torch.load(file, weights_only=True))

    assert draw() == expected


def test_each_gpu_gets_its_own(monkeypatch):
    given, gpus = {}, [torch.tensor([1, 2], dtype=torch.uint8), torch.zeros(2, dtype=torch.uint8)]
    monkeypatch.setattr('torch.cuda.is_available', lambda: True)
    monkeypatch.setattr('torch.cuda.is_initialized', lambda: True)
    monkeypatch.setattr('torch.cuda.device_count', lambda: 1)
    monkeypatch.setattr('torch.cuda.get_rng_state_all', lambda: gpus)
    monkeypatch.setattr('torch.cuda.set_rng_state', lambda state, gpu: given.update({gpu: state}))
    states = capture_all()

    restore_all(states)

    # The second GPU is not there any more.
    assert list(given) == [0]
    assert torch.equal(given[0], gpus[0])
