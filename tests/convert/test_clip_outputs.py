"""Weights of CLIP in OpenAI's layout, converted, compute what mmpretrain's copy of its code
computes.
"""

import mmpretrain
import pytest
import torch
from foreign_models import (
    apart,
    build_converted,
    largest_difference,
    randomize,
    tokens_of_layers,
)
from mmpretrain.models.utils.clip_generator_helper import CLIP, VisionTransformer
from torch import Tensor
from weights_table import Row

from mmtoken.convert.conversion import Hints
from mmtoken.convert.recognise import convert
from mmtoken.errors import UserError

TOLD = Hints(num_heads=2, activation='QuickGELU')


def whole() -> CLIP:
    """Both halves, with random weights."""
    text = dict(context_length=5, vocab_size=11, transformer_width=64, transformer_layers=1)
    sizes = dict(image_resolution=32, vision_layers=2, vision_width=128, vision_patch_size=8)
    return randomize(CLIP(embed_dim=16, transformer_heads=1, **sizes, **text))


def pictures() -> Tensor:
    """Two random images of the size that the model is of."""
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def outputs(model: VisionTransformer, images: Tensor) -> tuple[list[Tensor], Tensor]:
    """What enters the first layer and what leaves each, and the class tokens behind the norm."""
    seen, normed = [], []
    hooks = [
        # (N, B, C) → (B, N, C)
        model.ln_pre.register_forward_hook(lambda _, given, made: seen.append(made)),
        model.ln_post.register_forward_hook(lambda _, given, made: normed.append(made[:, 0])),
    ]
    layers = []
    blocks = model.transformer
    hooks.append(blocks.register_forward_hook(lambda _, given, made: layers.extend(made[2])))
    model(images)
    for hook in hooks:
        hook.remove()
    return [*seen, *layers], normed[0]


def measure() -> tuple[float, None]:
    """How far apart every layer's tokens are; that code knows one size."""
    model, images = whole(), pictures()
    backbone = build_converted(convert(model.state_dict(), hints=TOLD))
    return apart(tokens_of_layers(backbone, images), outputs(model.visual, images)[0]), None


def rows() -> list[Row]:
    """Of the table of weights, whose figures this file holds to a limit."""
    source = "mmpretrain's copy of openai/CLIP"
    return [Row('openai/CLIP, open_clip', source, measure, f'mmpretrain {mmpretrain.__version__}')]


def test_the_tokens_of_every_layer_are_the_same():
    model, images = whole(), pictures()

    found = tokens_of_layers(build_converted(convert(model.state_dict(), hints=TOLD)), images)

    assert largest_difference(found, outputs(model.visual, images)[0]) <= 1e-5


def test_the_class_token_behind_the_final_norm_is_the_same():
    model, images = whole(), pictures()

    with torch.no_grad():
        found = build_converted(convert(model.state_dict(), hints=TOLD))(images)[0]

    expected = outputs(model.visual, images)[1]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_the_image_model_alone_becomes_the_same():
    model = whole()

    found = convert(model.visual.state_dict(), hints=TOLD).state

    expected = convert(model.state_dict(), hints=TOLD).state
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_the_text_model_is_left_out_and_said():
    state = whole().state_dict()

    report = convert(state, hints=TOLD).report

    assert report.keys() == state.keys()
    assert report['transformer.resblocks.0.ln_1.weight'].why == 'of the text model'
    assert (
        report['visual.transformer.resblocks.0.ln_1.weight'].into == 'backbone.layers.0.ln1.weight'
    )


def test_the_files_of_openai_say_that_they_are():
    sizes = dict.fromkeys(('input_resolution', 'context_length', 'vocab_size'), torch.tensor(1))
    state = {**whole().state_dict(), **sizes}

    backbone = convert(state, hints=Hints(num_heads=2)).backbone

    assert backbone['mlp'] == dict(act_cfg=dict(type='QuickGELU'))


def test_half_precision_stays():
    state = {name: value.half() for name, value in whole().state_dict().items()}

    assert {value.dtype for value in convert(state, hints=TOLD).state.values()} == {torch.half}


def test_the_scales_of_open_clip_are_layer_scales():
    state, scale = whole().visual.state_dict(), torch.full((128,), 0.1)
    for layer in range(2):
        for branch in (1, 2):
            state[f'transformer.resblocks.{layer}.ls_{branch}.gamma'] = scale

    conversion = convert(state, hints=TOLD)

    assert conversion.backbone['layer_scale_init_value'] > 0
    assert conversion.state['backbone.layers.1.ffn.gamma2.weight'] is scale


def test_the_activation_of_other_files_must_be_said():
    with pytest.raises(UserError, match=r'is of CLIP, .* say it with --activation: QuickGELU for'):
        convert(whole().state_dict(), hints=Hints(num_heads=2))


def test_text_models_are_refused():
    state = {n: v for n, v in whole().state_dict().items() if not n.startswith('visual.')}

    with pytest.raises(UserError, match="'token_embedding.weight' is of a model of texts"):
        convert(state)
