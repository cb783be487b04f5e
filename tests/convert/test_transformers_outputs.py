"""Weights of transformers' models, converted, compute what they computed there."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from types import ModuleType

import pytest
import torch
from foreign_models import build_converted, largest_difference, randomize
from mmpretrain.registry import MODELS
from torch import nn
from transformers_models import (
    PEERS,
    SIZES,
    measure,
    our_tokens,
    pictures,
    run,
    their_tokens,
    version,
)
from weights_table import TOKENS, Row

from mmtoken.convert.conversion import Hints
from mmtoken.convert.recognise import convert
from mmtoken.errors import UserError
from mmtoken.weights import read_state

OF_BLOCKS = 'tokens after every block'
EVERY_PEER = pytest.mark.parametrize('name', PEERS)


def rows() -> list[Row]:
    """Of the table of weights, whose figures this file holds to a limit."""
    return [
        Row(
            name,
            f'transformers `{peer.kind}Model`',
            partial(measure, name),
            f'transformers {version()}',
            OF_BLOCKS if peer.is_swin else TOKENS,
        )
        for name, peer in PEERS.items()
    ]


@pytest.fixture(scope='module')
def model_of(transformers: ModuleType) -> Callable[[str], nn.Module]:
    """A function that builds a model by its name here, once."""
    return cache(lambda name: PEERS[name].build(transformers))


@pytest.mark.parametrize(
    ('name', 'size'), [(name, size) for name, peer in PEERS.items() for size in peer.images]
)
def test_the_tokens_of_every_layer_are_the_same(name, size, model_of):
    model, images = model_of(name), pictures(size)

    found = our_tokens(build_converted(PEERS[name].convert(model.state_dict())), images)

    assert largest_difference(found, their_tokens(model, images)) <= 1e-5


@EVERY_PEER
def test_the_final_norm_is_the_same(name, model_of):
    model, images = model_of(name), pictures(PEERS[name].images[-1])
    conversion = PEERS[name].convert(model.state_dict())
    conversion.backbone['out_type'] = 'raw'

    with torch.no_grad():
        found = build_converted(conversion)(images)[0]

    expected = run(model, images)
    if name.startswith('CLIP'):
        found, expected = found[:, 0], expected.pooler_output
    else:
        expected = expected.last_hidden_state
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@EVERY_PEER
def test_a_file_becomes_the_same_as_the_model_that_wrote_it(name, model_of, tmp_path):
    model = model_of(name)
    model.save_pretrained(tmp_path)

    found = PEERS[name].convert(read_state(tmp_path / 'model.safetensors'))

    expected = PEERS[name].convert(model.state_dict())
    assert found.backbone == expected.backbone
    assert found.state.keys() == expected.state.keys()
    assert all(torch.equal(found.state[key], value) for key, value in expected.state.items())


@EVERY_PEER
def test_every_weight_is_in_the_report(name, model_of):
    state = model_of(name).state_dict()

    conversion = PEERS[name].convert(state)

    assert conversion.report.keys() == state.keys()
    assert {fate.into for fate in conversion.report.values()} - {None} == conversion.state.keys()


@pytest.mark.parametrize(
    ('kind', 'name', 'head'),
    [
        ('ViT', 'ViTForImageClassification', 'VisionTransformerClsHead'),
        ('DeiT', 'DeiTForImageClassification', 'VisionTransformerClsHead'),
        ('DeiT', 'DeiTForImageClassificationWithTeacher', 'DeiTClsHead'),
        ('Swin', 'SwinForImageClassification', 'LinearClsHead'),
    ],
)
def test_classifiers_classify_the_same(kind, name, head, transformers):
    config = getattr(transformers, f'{kind}Config')(**PEERS[kind].sizes, num_labels=5)
    model, images = randomize(getattr(transformers, name)(config)), pictures(PEERS[kind].images[0])
    conversion = PEERS[kind].convert(model.state_dict())
    if kind == 'Swin':
        conversion.backbone['out_type'] = 'avg_featmap'
    channels = conversion.state[
        'backbone.norm1.weight' if kind == 'Swin' else 'backbone.ln1.weight'
    ]
    cfg = dict(type=head, num_classes=5, in_channels=channels.numel())
    classifier = MODELS.build(
        dict(type='ImageClassifier', backbone=conversion.backbone, head=cfg)
    ).eval()
    classifier.load_state_dict(conversion.state, strict=True)

    with torch.no_grad():
        tokens = classifier.extract_feat(images)[-1]
        # Of DeiT without a teacher, nothing reads the distillation token.
        if kind == 'DeiT' and head != 'DeiTClsHead':
            tokens = tokens[0]
        found = classifier.head((tokens,))
        expected = model(images).logits

    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ('kind', 'sentence'),
    [
        (
            'Beit',
            "look like those of transformers' ViTModel.*'layers.0.lambda_1' has no counterpart",
        ),
        ('CLIPText', "'embeddings.token_embedding.weight' is of a model of texts"),
        ('Bert', "'embeddings.word_embeddings.weight' is of a model of texts"),
    ],
)
def test_other_models_are_refused(kind, sentence, transformers):
    config = getattr(transformers, f'{kind}Config')(**SIZES)
    state = getattr(transformers, f'{kind}Model')(config).state_dict()

    with pytest.raises(UserError, match=sentence):
        convert(state)


def test_two_models_in_one_file_are_refused(model_of):
    vit, clip = (model_of(name).state_dict() for name in ('ViT', 'CLIP, LAION'))
    state = {**vit, **{f'vision_model.{name}': value for name, value in clip.items()}}

    with pytest.raises(UserError, match=r"is of transformers' \w+.*: the file mixes two models"):
        convert(state)


def test_a_file_that_lacks_a_projection_is_refused(model_of):
    state = model_of('ViT').state_dict()
    state.pop('layers.1.attention.v_proj.weight')

    with pytest.raises(UserError, match=r"qkv.weight' is made of 3 weights, .* lacks number 3"):
        convert(state)


def test_heads_that_no_published_model_has_must_be_said(model_of):
    with pytest.raises(UserError, match='64 channels wide.* say it with --num-heads'):
        convert(model_of('ViT').state_dict())


def test_the_windows_of_swin_v2_must_be_said(model_of):
    with pytest.raises(UserError, match=r"'encoder\S+logit_scale' is of Swin V2 .* --window-size"):
        convert(model_of('Swin V2').state_dict())


def test_the_activation_of_clip_must_be_said(model_of):
    with pytest.raises(UserError, match='is of CLIP, .* say it with --activation: QuickGELU for'):
        convert(model_of('CLIP, LAION').state_dict(), hints=Hints(num_heads=4))


def test_the_text_half_of_clip_is_left_out_and_said(transformers):
    text = dict(vocab_size=11, hidden_size=8, num_hidden_layers=1, num_attention_heads=1)
    config = transformers.CLIPConfig(text_config=text, vision_config=SIZES)
    model = transformers.CLIPModel(config)

    conversion = convert(model.state_dict(), hints=Hints(num_heads=4, activation='GELU'))

    alone = convert(model.vision_model.state_dict(), hints=Hints(num_heads=4, activation='GELU'))
    assert conversion.state.keys() == alone.state.keys()
    text = {n: f for n, f in conversion.report.items() if n.startswith('text_model.')}
    assert {(fate.what, fate.why) for fate in text.values()} == {('dropped', 'of the text model')}
