"""The pyramid's strides, its memory layout as RoIAlign sees it, and its place in mmdet and
mmsegmentation.
"""

import pytest
import torch
from mmcv.ops import RoIAlign
from torchvision.ops import roi_align

from mmtoken.dense import SimpleFeaturePyramid
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
        (32, (2, 64)),
    ],
)
def test_each_level_has_its_stride(patch_size, strides):
    image = patch_size * 8

    outs = pyramid(patch_size=patch_size, strides=strides)((torch.randn(2, 24, 8, 8),))

    assert [out.shape for out in outs] == [(2, 16, image // s, image // s) for s in strides]


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
def test_mmcvs_roi_align_reads_every_map_as_torchvisions_does(direct, patch_size):
    torch.manual_seed(0)
    backbone = LIFEViT(ARCH, 64, patch_size, out_type='featmap')
    neck = pyramid(patch_size=patch_size, num_outs=5)
    maps = backbone(torch.randn(2, 3, 64, 64))
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
        (dict(num_outs=3), 'num_outs 3'),
        (dict(down='stride'), "down 'stride'"),
    ],
)
def test_a_meaningless_argument_is_named(options, named):
    with pytest.raises(ValueError, match=named):
        pyramid(**options)


@pytest.mark.parametrize('shape', [(1, 24), (1, 23, 8, 8)])
def test_what_is_no_fitting_map_is_refused(shape):
    with pytest.raises(ValueError, match="out_type='featmap'"):
        pyramid()((torch.randn(shape),))
