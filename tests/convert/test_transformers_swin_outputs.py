"""Weights of transformers' Swin and Swin V2, converted, compute what they computed there."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch
from foreign_models import build_converted, largest_difference, randomize
from torch import Tensor, nn

from mmtoken.convert.conversion import Conversion, Hints
from mmtoken.convert.recognise import convert
from mmtoken.errors import UserError
from mmtoken.weights import read_state

SIZES = dict(image_size=64, embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4)
PEERS = {
    'Swin': ('Swin', {}),
    'Swin with positions': ('Swin', dict(use_absolute_embeddings=True, qkv_bias=False)),
    'Swin V2': ('Swinv2', {}),
    # Grids of 4 and 2: the second stage is one window of its own size.
    'Swin V2 of small images': ('Swinv2', dict(image_size=16)),
}
EVERY_PEER = pytest.mark.parametrize('name', PEERS)
# The one that they were trained at, a larger one, and one that windows and mergings do not divide.
IMAGES = ((64, 64), (96, 64), (72, 56))
CASES = [(name, size) for name in PEERS for size in IMAGES if not name.endswith('images')]


def build(name: str, transformers: ModuleType) -> nn.Module:
    """A model by its name here, with random weights. One that ran keeps the windows of its run."""
    kind, options = PEERS[name]
    config = getattr(transformers, f'{kind}Config')(**{**SIZES, **options})
    return randomize(getattr(transformers, f'{kind}Model')(config))


def converted(name: str, state: dict[str, Tensor]) -> Conversion:
    """The weights of a model by its name here, with what the user must say of them."""
    size = PEERS[name][1].get('image_size')
    return convert(state, hints=Hints(window_size=4, img_size=size and (size, size)))


@torch.no_grad()
def tokens_of_blocks(stages: nn.ModuleList, run, pick) -> list[Tensor]:
    """What leaves each block of some stages while something runs."""
    seen = []
    hooks = [
        block.register_forward_hook(lambda _, given, made: seen.append(pick(made)))
        for stage in stages
        for block in stage.blocks
    ]
    run()
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize(('name', 'size'), [*CASES, ('Swin V2 of small images', (16, 16))])
def test_the_tokens_of_every_block_are_the_same(name, size, transformers):
    model = build(name, transformers)
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    ours = build_converted(converted(name, model.state_dict()))
    options = dict(interpolate_pos_encoding=True) if name == 'Swin with positions' else {}

    expected = tokens_of_blocks(
        model.encoder.layers, lambda: model(images, **options), lambda made: made[0]
    )
    found = tokens_of_blocks(ours.stages, lambda: ours(images), lambda made: made.x)

    assert largest_difference(found, expected) <= 1e-5


@pytest.mark.parametrize('name', ['Swin', 'Swin V2'])
def test_the_map_of_the_last_stage_is_the_same(name, transformers):
    model = build(name, transformers)
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        found = build_converted(converted(name, model.state_dict()))(images)[0]
        expected = model(images).last_hidden_state

    torch.testing.assert_close(found.flatten(2).mT, expected, rtol=0, atol=1e-5)


@EVERY_PEER
def test_a_file_becomes_the_same_as_the_model_that_wrote_it(name, transformers, tmp_path):
    model = build(name, transformers)
    model.save_pretrained(tmp_path)

    found = converted(name, read_state(tmp_path / 'model.safetensors'))

    expected = converted(name, model.state_dict())
    assert found.backbone == expected.backbone
    assert found.report.keys() == read_state(tmp_path / 'model.safetensors').keys()
    assert found.state.keys() == expected.state.keys()
    assert all(torch.equal(found.state[key], value) for key, value in expected.state.items())


def test_the_windows_of_swin_v2_must_be_said(transformers):
    state = build('Swin V2', transformers).state_dict()

    with pytest.raises(UserError, match=r"logit_scale' is of Swin V2 .* say it with --window-size"):
        convert(state)
