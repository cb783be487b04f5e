"""Weights of transformers' models, converted, compute what they computed there."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType

import pytest
import torch
from foreign_models import build_converted, largest_difference, randomize, tokens_of_layers
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmtoken.convert.conversion import Conversion, Hints
from mmtoken.convert.recognise import convert
from mmtoken.errors import UserError
from mmtoken.weights import read_state

SIZES = dict(
    hidden_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=128,
    image_size=32,
    patch_size=8,
)
# The one that they were trained at, a larger and a smaller one.
IMAGES = ((32, 32), (48, 64), (16, 24))


@dataclass(frozen=True)
class Peer:
    """A model of transformers.

    Args:
        kind: What its class and its config's begin with.
        options: Of its config.
        activation: What the user must say of its weights.
    """

    kind: str
    options: dict = field(default_factory=dict)
    activation: str | None = None


PEERS = {
    'ViT': Peer('ViT'),
    'ViT without biases': Peer('ViT', dict(qkv_bias=False)),
    'DeiT': Peer('DeiT'),
    'ViTMAE': Peer('ViTMAE', dict(mask_ratio=0.0)),
    'ViTMSN': Peer('ViTMSN'),
    'IJepa': Peer('IJepa'),
    'Dinov2': Peer('Dinov2'),
    'Dinov2, gated': Peer('Dinov2', dict(use_swiglu_ffn=True)),
    'Dinov2 with registers': Peer('Dinov2WithRegisters'),
    'DINOv3': Peer('DINOv3ViT', dict(num_register_tokens=4)),
    'DINOv3, gated': Peer(
        'DINOv3ViT', dict(num_register_tokens=4, use_gated_mlp=True, hidden_act='silu')
    ),
    'DINOv3 without registers and biases': Peer(
        'DINOv3ViT', dict(num_register_tokens=0, query_bias=False, value_bias=False)
    ),
    'CLIP': Peer('CLIPVision', activation='QuickGELU'),
    'CLIP with GELU': Peer('CLIPVision', dict(hidden_act='gelu'), activation='GELU'),
}
EVERY_PEER = pytest.mark.parametrize('name', PEERS)


@pytest.fixture(scope='module')
def peer(transformers: ModuleType):
    """A function that builds a model by its name here, with random weights, once."""

    @cache
    def build(name: str) -> nn.Module:
        kind, options = PEERS[name].kind, PEERS[name].options
        config = getattr(transformers, f'{kind}Config')(**SIZES, **options)
        return randomize(getattr(transformers, f'{kind}Model')(config))

    return build


def converted(name: str, state: dict[str, Tensor]) -> Conversion:
    """The weights of a model by its name here, with what the user must say of them."""
    return convert(state, hints=Hints(num_heads=4, activation=PEERS[name].activation))


@torch.no_grad()
def run(model: nn.Module, images: Tensor):
    """What a model of transformers puts out for images of any size, in the order of the patches."""
    taken, options = inspect.signature(model.forward).parameters, {}
    if 'interpolate_pos_encoding' in taken:
        options['interpolate_pos_encoding'] = True
    if 'noise' in taken:
        count = images[0, 0].numel() // 8**2
        options['noise'] = torch.arange(count).float().expand(len(images), -1)
    return model(images, output_hidden_states=True, **options)


def pictures(size: tuple[int, int]) -> Tensor:
    """Two random images of a size."""
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize('size', IMAGES, ids=str)
@EVERY_PEER
def test_the_tokens_of_every_layer_are_the_same(name, size, peer):
    model, images = peer(name), pictures(size)

    found = tokens_of_layers(build_converted(converted(name, model.state_dict())), images)

    assert largest_difference(found, [*run(model, images).hidden_states]) <= 1e-5


@EVERY_PEER
def test_the_final_norm_is_the_same(name, peer):
    model, images = peer(name), pictures(IMAGES[1])
    conversion = converted(name, model.state_dict())
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
def test_a_file_becomes_the_same_as_the_model_that_wrote_it(name, peer, tmp_path):
    model = peer(name)
    model.save_pretrained(tmp_path)

    found = converted(name, read_state(tmp_path / 'model.safetensors'))

    expected = converted(name, model.state_dict())
    assert found.backbone == expected.backbone
    assert found.state.keys() == expected.state.keys()
    assert all(torch.equal(found.state[key], value) for key, value in expected.state.items())


@EVERY_PEER
def test_every_weight_is_in_the_report(name, peer):
    state = peer(name).state_dict()

    conversion = converted(name, state)

    assert conversion.report.keys() == state.keys()
    assert {fate.into for fate in conversion.report.values()} - {None} == conversion.state.keys()


@pytest.mark.parametrize(
    ('kind', 'name', 'head'),
    [
        ('ViT', 'ViTForImageClassification', 'VisionTransformerClsHead'),
        ('DeiT', 'DeiTForImageClassification', 'VisionTransformerClsHead'),
        ('DeiT', 'DeiTForImageClassificationWithTeacher', 'DeiTClsHead'),
    ],
)
def test_classifiers_classify_the_same(kind, name, head, transformers):
    config = getattr(transformers, f'{kind}Config')(**SIZES, num_labels=5)
    model, images = randomize(getattr(transformers, name)(config)), pictures(IMAGES[0])
    conversion = convert(model.state_dict(), hints=Hints(num_heads=4))
    cfg = dict(type=head, num_classes=5, in_channels=64)
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
    sizes = {name: SIZES[name] for name in SIZES if 'size' in name or 'num' in name}
    config = getattr(transformers, f'{kind}Config')(**sizes)
    state = getattr(transformers, f'{kind}Model')(config).state_dict()

    with pytest.raises(UserError, match=sentence):
        convert(state)


def test_two_models_in_one_file_are_refused(peer):
    vit, clip = (peer(name).state_dict() for name in ('ViT', 'CLIP'))
    state = {**vit, **{f'vision_model.{name}': value for name, value in clip.items()}}

    with pytest.raises(UserError, match=r"is of transformers' \w+.*: the file mixes two models"):
        convert(state)


def test_a_file_that_lacks_a_projection_is_refused(peer):
    state = peer('ViT').state_dict()
    state.pop('layers.1.attention.v_proj.weight')

    with pytest.raises(UserError, match=r"qkv.weight' is made of 3 weights, .* lacks number 3"):
        convert(state)


def test_heads_that_no_published_model_has_must_be_said(peer):
    with pytest.raises(UserError, match='64 channels wide.* say it with --num-heads'):
        convert(peer('ViT').state_dict())
