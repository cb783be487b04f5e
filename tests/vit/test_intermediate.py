"""`get_intermediate_layers` gives what DINO's users expect of it, over every variant."""

import pytest
import torch
from backbones import VARIANTS, build, images

from mmtoken.errors import UserError

SIZED = dict(height=36, width=44)


def test_patches_and_class_tokens_are_those_of_the_raw_outputs(name, variant):
    backbone = build(name, **{**variant, 'out_type': 'raw', 'out_indices': (0, 1, 2)})
    classed = 'cls_token' in backbone.aux_layout

    found = backbone.get_intermediate_layers(images(**SIZED), n=3, return_class_token=classed)

    for out, raw in zip(found, backbone(images(**SIZED)), strict=True):
        patches, class_token = out if classed else (out, None)
        torch.testing.assert_close(patches, raw[:, backbone.num_aux_tokens :], rtol=0, atol=0)
        assert not classed or torch.equal(class_token, raw[:, 0])


def test_maps_are_those_of_the_layers(name, variant):
    options = {**variant, 'out_type': 'featmap', 'out_indices': (1, 2)}
    backbone = build(name, **options)

    found = backbone.get_intermediate_layers(images(**SIZED), n=2, reshape=True)

    for out, expected in zip(found, backbone(images(**SIZED)), strict=True):
        assert out.is_contiguous()
        torch.testing.assert_close(out, expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    ('n', 'layers'), [(1, [2]), (2, [1, 2]), ([0], [0]), ([2, 0], [0, 2]), ((-1, -3), [0, 2])]
)
def test_n_counts_from_the_end_or_names_layers(n, layers):
    backbone = build('TokenViT', out_type='raw', out_indices=(0, 1, 2))

    found = backbone.get_intermediate_layers(images(), n)

    every = backbone(images())
    assert len(found) == len(layers)
    for out, layer in zip(found, layers, strict=True):
        torch.testing.assert_close(out, every[layer][:, 1:], rtol=0, atol=0)


def test_without_norm_they_are_what_left_the_layers():
    backbone = build('TokenViT')

    first, last = backbone.get_intermediate_layers(images(), [0, 2], norm=False)

    torch.testing.assert_close(
        backbone.run(backbone.embed(images()), 0, 1).patches, first, rtol=0, atol=0
    )
    torch.testing.assert_close(
        backbone.ln1(last), backbone.get_intermediate_layers(images())[0], rtol=1e-5, atol=1e-5
    )


def test_layers_above_the_last_output_do_not_count():
    backbone = build('TokenViT', **VARIANTS['shared'], out_indices=1, out_type='raw')

    (out,) = backbone.get_intermediate_layers(images())

    torch.testing.assert_close(out, backbone(images())[0][:, 1:], rtol=0, atol=0)


@pytest.mark.parametrize(
    ('n', 'said'),
    [
        (0, 'n 0 is not a whole number from 1 up'),
        (4, 'n 4 is more than the 3 that run'),
        ([3], r'n \(3,\) is not a choice of layers 0..2'),
        ([], r'n \(\) is not a choice'),
        (2.0, 'n 2.0 is not a whole number'),
    ],
)
def test_layers_that_are_not_there_are_refused(n, said):
    with pytest.raises(UserError, match=said):
        build('TokenViT').get_intermediate_layers(images(), n)


def test_a_class_token_that_is_not_there_is_refused():
    backbone = build('TokenViT', **VARIANTS['registers alone'])

    with pytest.raises(UserError, match='needs a class token, which this TokenViT has not'):
        backbone.get_intermediate_layers(images(), return_class_token=True)
