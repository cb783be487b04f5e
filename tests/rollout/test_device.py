"""What a roll-out makes lies where the model lies, told apart on torch's meta device."""

from types import SimpleNamespace

import pytest
import torch

from mmtoken.psvit import TokenPool
from mmtoken.rollout import Capture, explicit_matrix, token_areas, token_overlaps
from mmtoken.rollout.capture import Step
from mmtoken.rollout.token_sets import _box_overlap
from mmtoken.tokens import Tokens
from mmtoken.vit import TokenBlock

META = torch.device('meta')


@pytest.fixture(params=[0, 2])
def elsewhere(request):
    """A capture of 3x5 tokens, those of 5x9 patches pooled once, on the meta device."""
    block = TokenBlock(6, 3, 12, dict(type='LinearProjection'), window_size=request.param)
    pool, tokens = TokenPool(6, num_aux_tokens=1), Tokens(torch.zeros(1, 46, 6), (5, 9), 1)
    steps = [Step(pool.to(META), tokens.with_(x=tokens.x.to(META)))]
    tokens = steps[0].layer(steps[0].tokens)
    steps.append(Step(block.to(META), tokens))
    model = SimpleNamespace(backbone=SimpleNamespace(patch_size=8))
    return Capture(model, {}, steps, torch.zeros(3, 40, 72), block(tokens))


@pytest.mark.parametrize('step', [0, 1])
def test_explicit_matrices_are_on_the_models_device(elsewhere, step):
    assert explicit_matrix(elsewhere.steps[step], 'max', 0.5).device == META


@pytest.mark.parametrize('entered', [False, True])
def test_what_tokens_cover_is_on_the_models_device(elsewhere, entered):
    assert {part.device for part in token_overlaps(elsewhere, (40, 72), entered)} == {META}
    assert token_areas(elsewhere, entered).device == META
    assert _box_overlap(elsewhere, [0.0, 8.0, 16.0, 24.0], (40, 72)).device == META
