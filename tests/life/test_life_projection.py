"""LIFE's projection and classifier against the numbers of the released code, and what is our
generalization.
"""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS

from mmtoken.convert import convert_state_dict
from mmtoken.errors import UserError
from mmtoken.life import LIFEProjection, LIFEViT
from mmtoken.tokens import Tokens
from mmtoken.vit import TokenViT

REFERENCES = Path(__file__).parents[1] / 'data' / 'references'


def group(file: str, name: str) -> dict[str, torch.Tensor]:
    with np.load(REFERENCES / file) as arrays:
        return {
            k.split('/', 1)[1]: torch.from_numpy(arrays[k])
            for k in arrays.files
            if k.startswith(f'{name}/')
        }


def projection_state(file: str) -> dict[str, torch.Tensor]:
    """The released projection's weights under our names, through the converter of whole
    classifiers.
    """
    block = {f'blocks.0.attn.qkv.{name}': value for name, value in group(file, 'state').items()}
    prefix = 'backbone.layers.0.attn.qkv.'
    return {
        name.removeprefix(prefix): value
        for name, value in convert_state_dict(block, 'life').items()
    }


@pytest.mark.parametrize('file', ['life_qkv_cls_1.npz', 'life_qkv_cls_2.npz'])
def test_projection_with_class_token_agrees_with_the_released_code(file):
    meta, x = group(file, 'meta'), group(file, 'input')['x']
    projection = LIFEProjection(x.shape[-1], qkv_norm=bool(meta['qkv_norm']), aux_key='first')
    projection.load_state_dict(projection_state(file), strict=True)

    q, k, v = projection(Tokens(x, tuple(meta['grid'].tolist()), num_aux=1))

    for name, ours in dict(q=q, k=k, v=v).items():
        torch.testing.assert_close(ours, group(file, 'output')[name], rtol=0, atol=1e-5)


@pytest.mark.parametrize('file', ['life_qkv_nocls_1.npz', 'life_qkv_nocls_2.npz'])
def test_projection_without_class_token_agrees_with_the_released_code(file):
    # The released code ignores the norm in this branch, so ours is built without.
    x = group(file, 'input')['x']
    projection = LIFEProjection(x.shape[-1], aux_key='first')
    state = {k: v for k, v in projection_state(file).items() if not k.startswith('norm.')}
    projection.load_state_dict(state, strict=True)

    q, k, v = projection(Tokens(x, tuple(group(file, 'meta')['grid'].tolist()), num_aux=0))

    for name, ours in dict(q=q, k=k, v=v).items():
        torch.testing.assert_close(ours, group(file, 'output')[name], rtol=0, atol=1e-5)


@pytest.mark.filterwarnings('ignore:the weights of NeurAI-Lab/LIFE belong to')
@pytest.mark.parametrize('file', ['life_deit_1.npz', 'life_deit_2.npz'])
@pytest.mark.parametrize('general', [True, False])
def test_classifier_agrees_with_the_released_code(file, general):
    meta = {k: int(v) for k, v in group(file, 'meta').items()}
    channels = meta['embed_dims']
    arch = dict(
        embed_dims=channels,
        num_layers=meta['depth'],
        num_heads=meta['num_heads'],
        feedforward_channels=4 * channels,
    )
    model = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=dict(
                type='TokenViT' if general else 'LIFEViT',
                arch=arch,
                img_size=meta['img_size'],
                patch_size=meta['patch_size'],
                projection=dict(type='LIFEProjection', aux_key='first'),
            ),
            head=dict(type='VisionTransformerClsHead', num_classes=5, in_channels=channels),
        )
    )
    model.load_state_dict(convert_state_dict(group(file, 'state'), source='life'), strict=True)
    model.eval()

    logits = model(group(file, 'input')['image'])

    torch.testing.assert_close(logits, group(file, 'output')['logits'], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ('arch', 'baseline', 'paper'),
    [('deit-tiny', 5_543_716, 5.62), ('deit-small', 21_704_164, 21.85)],
)
def test_parameter_counts_match_the_papers_table(arch, baseline, paper):
    def count(cls):
        with torch.device('meta'):
            backbone = cls(arch)
        head = (backbone.embed_dims + 1) * 100
        return sum(p.numel() for p in backbone.parameters()) + head

    assert count(TokenViT) == baseline
    assert round(count(LIFEViT) / 1e6, 2) == paper


def test_lifevit_is_tokenvit_with_the_projection():
    torch.manual_seed(0)
    special = LIFEViT('deit-tiny', 32)
    torch.manual_seed(0)
    general = TokenViT('deit-tiny', 32, projection=dict(type='LIFEProjection'))

    assert str(special).replace('LIFEViT', 'TokenViT') == str(general)
    for a, b in zip(special.parameters(), general.parameters(), strict=True):
        assert torch.equal(a, b)


def field_of_view(kernel_sizes: tuple[int, ...], scale: int) -> tuple[int, int]:
    """Rows and columns of patches that one patch's key of a scale depends on."""
    torch.manual_seed(0)
    channels = 3 * (len(kernel_sizes) + 1)
    projection = LIFEProjection(channels, kernel_sizes)
    x = torch.randn(1, 2 + 11 * 13, channels, requires_grad=True)
    _, k, _ = projection(Tokens(x, (11, 13), num_aux=2))
    width = channels // (len(kernel_sizes) + 1)
    k[0, 2 + 5 * 13 + 6, scale * width : (scale + 1) * width].sum().backward()
    touched = x.grad[0, 2:].abs().sum(-1).unflatten(0, (11, 13)) > 0
    return int(touched.any(1).sum()), int(touched.any(0).sum())


@pytest.mark.parametrize(('scale', 'field'), [(0, 1), (1, 3), (2, 7)])
def test_scales_of_the_paper_see_1_3_and_7_patches(scale, field):
    assert field_of_view((3, 5), scale) == (field, field)


@pytest.mark.parametrize('kernel_sizes', [(), (3,), (3, 3, 5), (1, 7)])
def test_any_number_of_scales_works(kernel_sizes):
    channels = 4 * (len(kernel_sizes) + 1)
    projection = LIFEProjection(channels, kernel_sizes)

    outs = projection(Tokens(torch.randn(2, 1 + 20, channels), (4, 5), num_aux=1))

    assert [out.shape for out in outs] == [(2, 21, channels)] * 3


@pytest.mark.parametrize('aux_key', ['cascaded', 'first'])
def test_every_auxiliary_token_takes_the_linear_maps_only(aux_key):
    torch.manual_seed(0)
    projection = LIFEProjection(12, (3, 5), aux_key=aux_key)
    x = torch.randn(1, 3 + 16, 12)
    s1 = projection.linear(x[:, :3])
    s2 = s1 @ projection.pointwise[0].weight.flatten(1).T
    s3 = s2 @ projection.pointwise[1].weight.flatten(1).T

    q, k, v = projection(Tokens(x, (4, 4), num_aux=3))

    keys = [s1, s1, s1] if aux_key == 'first' else [s1, s2, s3]
    torch.testing.assert_close(q[:, :3], torch.cat([s[..., :4] for s in (s1, s2, s3)], -1))
    torch.testing.assert_close(k[:, :3], torch.cat([s[..., 4:8] for s in keys], -1))
    torch.testing.assert_close(v[:, :3], torch.cat([s[..., 8:] for s in (s1, s2, s3)], -1))


@pytest.mark.parametrize('kernel_sizes', [(), (3, 5)])
def test_without_bias_nothing_comes_of_nothing(kernel_sizes):
    tokens = Tokens(torch.zeros(1, 1 + 4, 12), (2, 2), num_aux=1)

    biased, plain = (LIFEProjection(12, kernel_sizes, bias=bias)(tokens) for bias in (True, False))

    assert all(part.any() for part in biased)
    assert not any(part.any() for part in plain)


def test_convolutions_see_across_windows():
    torch.manual_seed(0)
    arch = dict(embed_dims=24, num_layers=1, num_heads=3, feedforward_channels=48)
    image = torch.randn(1, 3, 32, 32)
    moved = image.clone()
    # The patch right of the border between the two left and the two right windows.
    moved[..., :4, 16:20] += 1

    def first_patch_left_of_the_border(kernel_sizes, image):
        torch.manual_seed(1)
        projection = dict(type='LIFEProjection', kernel_sizes=kernel_sizes)
        backbone = LIFEViT(
            arch, 32, 4, num_aux_tokens=0, out_type='featmap', window_size=4, projection=projection
        )
        return backbone(image)[0][0, :, 0, 3]

    for kernel_sizes, seen in (((1, 1), False), ((3, 5), True)):
        before, after = (first_patch_left_of_the_border(kernel_sizes, i) for i in (image, moved))
        assert (not torch.allclose(before, after)) == seen


@pytest.mark.parametrize(
    ('options', 'named'),
    [
        (dict(embed_dims=64), 'embed_dims 64 is not a multiple of the 3 scales'),
        (dict(embed_dims=48, kernel_sizes=(3, 4)), r'kernel_sizes \(3, 4\)'),
        (dict(embed_dims=48, aux_key='last'), "aux_key 'last'"),
    ],
)
def test_a_meaningless_argument_is_named(options, named):
    with pytest.raises(ValueError, match=named):
        LIFEProjection(**options)


@pytest.mark.parametrize(
    ('embed_dims', 'num_heads', 'kernel_sizes', 'advised'),
    [
        (1024, 16, (3, 5), (3, 5, 7)),
        (64, 4, (3, 5), (3, 5, 7)),
        (768, 12, (3, 5, 7, 9), (3, 5, 7, 9, 11)),
        (26, 2, (3, 5), (3,)),
        (30, 5, (3, 5, 5), (3, 5, 5, 7)),
        (35, 5, (3, 3), (3, 3, 5, 7)),
    ],
)
def test_the_kernel_sizes_that_an_error_advises_work(embed_dims, num_heads, kernel_sizes, advised):
    arch = dict(
        embed_dims=embed_dims, num_layers=1, num_heads=num_heads, feedforward_channels=embed_dims
    )
    projection = dict(type='LIFEProjection', kernel_sizes=kernel_sizes)
    with pytest.raises(UserError, match=re.escape(f'; use kernel_sizes={advised}, or an arch')):
        LIFEViT(arch, 32, projection=projection)

    backbone = LIFEViT(arch, 32, projection=dict(projection, kernel_sizes=advised))

    assert backbone(torch.randn(1, 3, 32, 32))[0].shape == (1, embed_dims)


@pytest.mark.parametrize(('embed_dims', 'num_heads', 'fitting'), [(1024, 16, 1008), (31, 1, 30)])
def test_the_width_that_an_error_advises_works(embed_dims, num_heads, fitting):
    arch = dict(num_layers=1, num_heads=num_heads, feedforward_channels=32)
    advice = 'an arch whose embed_dims is a multiple of 3 and of its num_heads'
    with pytest.raises(UserError, match=advice):
        LIFEViT(dict(arch, embed_dims=embed_dims), 32)

    backbone = LIFEViT(dict(arch, embed_dims=fitting), 32)

    assert fitting % 3 == fitting % num_heads == 0
    assert backbone(torch.randn(1, 3, 32, 32))[0].shape == (1, fitting)
