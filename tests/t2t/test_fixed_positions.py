"""Sinusoidal positions: their numbers, that they do not learn, and their way to other grids."""

import numpy as np
import pytest
import torch
from mmengine.optim import build_optim_wrapper
from small_t2t import SMALL, build, disturb, images
from torch import Tensor, nn

from mmtoken.vit import TokenViT


def sinusoid(count: int, channels: int) -> Tensor:
    """The fixed positions, number by number."""
    table = np.zeros((1, count, channels))
    for position in range(count):
        for channel in range(channels):
            angle = position / 10000 ** (2 * (channel // 2) / channels)
            table[0, position, channel] = np.cos(angle) if channel % 2 else np.sin(angle)
    return torch.from_numpy(table).float()


@pytest.mark.parametrize('channels', [24, 15])
def test_positions_are_sines_and_cosines(channels):
    arch = {**SMALL, 'embed_dims': channels}
    backbone = build(arch=arch, img_size=(32, 64))

    torch.testing.assert_close(backbone.pos_embed, sinusoid(9, channels), check_dtype=True)


def test_positions_take_no_gradient_and_stay_as_they_are():
    backbone = disturb(build()).train()
    optimizer = torch.optim.AdamW(backbone.parameters(), lr=0.1, weight_decay=0.5)

    backbone(images())[0].square().sum().backward()
    optimizer.step()

    assert not backbone.pos_embed.requires_grad
    torch.testing.assert_close(backbone.pos_embed, sinusoid(17, 24))


def test_positions_are_in_no_group_of_the_optimizer():
    model = nn.Module()
    model.backbone = build()
    optimizer = build_optim_wrapper(
        model,
        dict(
            constructor='mmpretrain.TokenViTLayerDecayConstructor',
            optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.1),
        ),
    ).optimizer

    names = {name for group in optimizer.param_groups for name in group['param_names']}
    assert names == {n for n, _ in model.named_parameters() if n != 'backbone.pos_embed'}


def test_positions_that_learn_can_be_asked_for():
    backbone = build(position='learned')

    assert backbone.pos_embed.requires_grad
    assert 0.01 < backbone.pos_embed.std() < 0.03


def test_a_plain_vit_learns_its_positions_unless_asked_otherwise():
    options = dict(arch=SMALL, img_size=32, patch_size=8)

    assert TokenViT(**options).pos_embed.requires_grad
    fixed = TokenViT(**options, position='sinusoidal', num_aux_tokens=2)
    assert not fixed.pos_embed.requires_grad
    torch.testing.assert_close(fixed.pos_embed, sinusoid(18, 24))
    assert fixed.cls_token.abs().sum() > 0


@pytest.mark.parametrize('mode', ['bicubic', 'tile'])
def test_images_of_another_size_see_positions_resized_as_learned_ones_are(mode):
    fixed = build(interpolate_mode=mode)
    learned = build(interpolate_mode=mode, position='learned')
    learned.load_state_dict(fixed.state_dict())

    found, expected = fixed.embed(images(48, 96)), learned.embed(images(48, 96))

    torch.testing.assert_close(found.x, expected.x, rtol=0, atol=0)
    bare = fixed.patch_embed(images(48, 96))[0]
    assert not torch.allclose((found.patches - bare)[0], sinusoid(19, 24)[0, 1:], atol=1e-2)


def test_weights_of_another_image_size_bring_their_positions_resized():
    source, target = disturb(build(img_size=32)), build(img_size=64)

    target.load_state_dict(source.state_dict(), strict=True)

    expected = source(images(64, 64))
    torch.testing.assert_close(target(images(64, 64)), expected, rtol=1e-5, atol=1e-5)
    assert not target.pos_embed.requires_grad
