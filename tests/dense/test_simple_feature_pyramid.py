"""The pyramid's strides, its memory layout as RoIAlign sees it, and its place in mmdet and
mmsegmentation.
"""

from ast import literal_eval
from functools import partial
from math import ceil

import pytest
import torch
import torch.nn.functional as F
from mmcv.ops import RoIAlign
from torchvision.ops import roi_align

from mmtoken.dense import SimpleFeaturePyramid
from mmtoken.errors import UserError
from mmtoken.life import LIFEViT

ARCH = dict(embed_dims=24, num_layers=1, num_heads=3, feedforward_channels=48)


def pyramid(**options):
    torch.manual_seed(0)
    return SimpleFeaturePyramid(**{'in_channels': 24, 'out_channels': 16, **options})


@pytest.mark.parametrize(
    ('patch_size', 'strides'),
    [
        (16, (4, 8, 16, 32)),
        (8, (4, 8, 16, 32)),
        (4, (4, 8, 16, 32)),
        (16, (8,)),
        (16, (16, 32)),
        (14, (7, 14)),
        (14, (3.5, 7, 14, 28)),
        (32, (2, 64)),
    ],
)
def test_each_level_has_its_stride(patch_size, strides):
    image = patch_size * 8

    outs = pyramid(patch_size=patch_size, strides=strides)((torch.randn(2, 24, 8, 8),))

    assert [out.shape for out in outs] == [(2, 16, image // s, image // s) for s in strides]


@pytest.mark.parametrize('down', ['conv', 'pool'])
@pytest.mark.parametrize('grid', [(25, 17), (7, 4), (2, 3), (1, 5), (1, 1)])
def test_sides_that_do_not_halve_are_rounded_up(down, grid):
    neck = pyramid(strides=(4, 8, 16, 32, 64), num_outs=6, down=down)

    outs = neck((torch.randn(1, 24, *grid),))

    assert [tuple(out.shape[-2:]) for out in outs] == [
        tuple(ceil(16 * side / stride) for side in grid) for stride in (4, 8, 16, 32, 64, 128)
    ]


@pytest.mark.parametrize('down', ['conv', 'pool'])
@pytest.mark.parametrize('stride', [32, 64])
def test_the_last_pixel_of_an_odd_grid_reaches_every_level(down, stride):
    neck = pyramid(strides=(stride,), down=down)
    maps = torch.rand(1, 24, 9, 9)
    moved = maps.clone()
    moved[..., -1, -1] += 1

    (before,), (after,) = neck((maps,)), neck((moved,))

    assert not torch.allclose(before[..., -1, -1], after[..., -1, -1])


@pytest.mark.parametrize('down', ['conv', 'pool'])
def test_an_odd_grid_has_the_numbers_of_one_more_row_and_column_of_nothing(down):
    neck = pyramid(strides=(32,), down=down)
    maps = torch.rand(1, 24, 5, 3)  # Not negative, so that zeros are nothing to a maximum, too.

    (ours,), (theirs,) = neck((maps,)), neck((F.pad(maps, (0, 1, 0, 1)),))

    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.parametrize('down', ['conv', 'pool'])
def test_an_even_grid_is_halved_as_torchs_own_layers_halve_it(down):
    neck = pyramid(strides=(64,), down=down)
    maps = torch.randn(2, 24, 8, 4)
    steps = list(neck.levels[0])
    if down == 'conv':
        halve = [partial(F.conv2d, weight=s.weight, bias=s.bias, stride=2) for s in steps[:2]]
    else:
        halve = [partial(F.max_pool2d, kernel_size=2)] * 2
    expected = torch.nn.Sequential(*steps[2:])(halve[1](halve[0](maps)))

    (out,) = neck((maps,))

    torch.testing.assert_close(out, expected, rtol=0, atol=0)


@pytest.mark.parametrize('down', ['conv', 'pool'])
def test_weights_are_called_as_those_of_torchs_own_layers(down):
    names = {n.removesuffix('.weight') for n in pyramid(strides=(8, 32), down=down).state_dict()}

    learned = ['levels.1.0', 'levels.1.0.bias'] if down == 'conv' else []
    assert names == {
        *('levels.0.0', 'levels.0.0.bias', 'levels.0.1', 'levels.0.2', 'levels.0.2.bias'),
        *('levels.0.3', 'levels.0.4', 'levels.0.4.bias', *learned),
        *('levels.1.1', 'levels.1.2', 'levels.1.2.bias', 'levels.1.3', 'levels.1.4'),
        'levels.1.4.bias',
    }


@pytest.mark.parametrize(('stride', 'halvings'), [(8, 1), (4, 2), (2, 3)])
def test_halvings_of_the_stride_have_norm_and_gelu_between_them(stride, halvings):
    (level,), maps = pyramid(strides=(stride,)).levels, torch.randn(1, 24, 3, 3)
    upward = [layer for layer in level if isinstance(layer, torch.nn.ConvTranspose2d)]
    point, square = (layer for layer in level if type(layer) is torch.nn.Conv2d)

    out = level(maps)

    def norm(x):
        return F.layer_norm(x.movedim(1, -1), x.shape[1:2], eps=1e-6).movedim(-1, 1)

    expected = upward[0](maps)
    for layer in upward[1:]:
        expected = layer(F.gelu(norm(expected)))
    expected = norm(square(norm(point(expected))))
    assert len(upward) == halvings
    torch.testing.assert_close(out, expected)


def test_extra_outputs_halve_the_last_level():
    outs = pyramid(num_outs=6)((torch.randn(1, 24, 8, 8),))

    assert [out.shape[-1] for out in outs] == [32, 16, 8, 4, 2, 1]
    torch.testing.assert_close(outs[4], outs[3][..., ::2, ::2])


@pytest.mark.parametrize('down', ['conv', 'pool'])
def test_only_learned_downsampling_has_weights(down):
    neck = pyramid(strides=(32, 64), down=down)

    assert sum(
        isinstance(m, torch.nn.Conv2d) and m.kernel_size == (2, 2) for m in neck.modules()
    ) == (3 if down == 'conv' else 0)


def test_gradients_reach_every_parameter():
    neck = pyramid(strides=(2, 4, 8, 16, 32, 64))

    sum((out * torch.randn_like(out)).sum() for out in neck((torch.randn(2, 24, 8, 8),))).backward()

    assert [n for n, p in neck.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize('direct', [True, False])
@pytest.mark.parametrize('patch_size', [4, 8, 16])
@pytest.mark.parametrize('size', [64, 80])
def test_mmcvs_roi_align_reads_every_map_as_torchvisions_does(direct, patch_size, size):
    torch.manual_seed(0)
    backbone = LIFEViT(ARCH, 64, patch_size, out_type='featmap')
    neck = pyramid(patch_size=patch_size, num_outs=5)
    maps = backbone(torch.randn(2, 3, size, size))
    outs, strides = (maps, [patch_size]) if direct else (neck(maps), [4, 8, 16, 32, 64])
    boxes = torch.tensor([[0, 3.0, 5.0, 40.0, 60.0], [1, 10.0, 2.0, 60.0, 30.0]])

    for out, stride in zip(outs, strides, strict=True):
        ours = RoIAlign(output_size=7, spatial_scale=1 / stride, sampling_ratio=2, aligned=True)(
            out, boxes
        )

        theirs = roi_align(out.contiguous(), boxes, 7, 1 / stride, 2, aligned=True)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ('options', 'named'),
    [
        (
            dict(strides=(4, 12)),
            r'strides \(4, 12\) must each be patch_size 16 times a power of two',
        ),
        (dict(strides=()), r'strides \(\)'),
        (dict(patch_size=0), 'patch_size 0'),
        (dict(num_outs=3), 'num_outs 3'),
        (dict(down='stride'), "down 'stride'"),
    ],
)
def test_a_meaningless_argument_is_named(options, named):
    with pytest.raises(ValueError, match=named):
        pyramid(**options)


@pytest.mark.parametrize('patch_size', [1, 2, 6, 14, 16])
def test_the_strides_that_an_error_advises_work(patch_size):
    with pytest.raises(UserError, match='such as') as error:
        pyramid(patch_size=patch_size, strides=(5,))
    advised = literal_eval(str(error.value).partition('such as ')[2])

    outs = pyramid(patch_size=patch_size, strides=advised)((torch.randn(1, 24, 8, 8),))

    assert [out.shape[-1] for out in outs] == [8 * patch_size // stride for stride in advised]


@pytest.mark.parametrize(
    ('output', 'got'),
    [
        (torch.randn(1, 24), r'a map of shape \(1, 24\)'),
        (torch.randn(1, 23, 8, 8), r'a map of shape \(1, 23, 8, 8\)'),
        ((torch.randn(1, 24), torch.randn(1, 24)), 'no map'),
    ],
)
def test_what_is_no_fitting_map_is_refused(output, got):
    advice = "out_type='featmap' and in_channels to its embed_dims"
    with pytest.raises(UserError, match=rf'^SimpleFeaturePyramid got {got}; .*{advice}'):
        pyramid()((output,))


@pytest.mark.parametrize(
    'options', [dict(out_type='cls_token'), dict(out_type='raw'), dict(num_aux_tokens=2)]
)
def test_the_backbone_that_an_error_advises_works(options):
    images = torch.randn(1, 3, 32, 32)
    with pytest.raises(UserError, match='set the backbone'):
        pyramid()(LIFEViT(ARCH, 32, **options)(images))

    backbone = LIFEViT(ARCH, 32, **{**options, 'out_type': 'featmap'})

    assert len(pyramid(in_channels=backbone.embed_dims)(backbone(images))) == 4
