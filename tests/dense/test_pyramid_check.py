"""A pyramid of another stride or width than its backbone's maps is refused before a run starts."""

import re
from types import SimpleNamespace

import pytest
import torch
from mmdet.models.necks import FPN, ChannelMapper, YOLOV3Neck
from mmengine.registry import HOOKS
from torch import nn

from mmtoken.dense import SimpleFeaturePyramid, check_pyramids
from mmtoken.errors import UserError
from mmtoken.psvit import PSViT
from mmtoken.vit import TokenViT

ARCH = dict(embed_dims=24, num_layers=3, num_heads=3, feedforward_channels=48)


class Detector(nn.Module):
    """Anything with a backbone and a neck."""

    def __init__(self, backbone=None, in_channels=24, in_list=False, **neck):
        super().__init__()
        options = {'patch_size': 8, 'out_type': 'featmap', **(backbone or {})}
        self.backbone = TokenViT(ARCH, 32, **options)
        self.neck = SimpleFeaturePyramid(in_channels, 8, **{'patch_size': 8, **neck})
        if in_list:
            self.neck = nn.Sequential(self.neck, nn.Identity())


@pytest.mark.parametrize('in_list', [False, True])
@pytest.mark.parametrize(
    ('options', 'named'),
    [
        (dict(patch_size=16), 'patch_size 16 .* TokenViT, whose last map has a stride of 8;'),
        (dict(backbone=dict(pool_before=(1,))), 'patch_size 8 .* a stride of 16'),
        (dict(backbone=dict(pool_before=(1, 2))), 'patch_size 8 .* a stride of 32'),
        (dict(in_channels=32), 'in_channels 32 .* has 24 channels'),
    ],
)
def test_a_pyramid_that_does_not_fit_is_refused(options, named, in_list):
    with pytest.raises(UserError, match=named):
        check_pyramids(Detector(in_list=in_list, **options))


@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(backbone=dict(patch_size=16), patch_size=16),
        dict(backbone=dict(pool_before=(1, 2)), patch_size=32),
        # The last map is taken before the tokens are pooled once more.
        dict(backbone=dict(pool_before=(1, 2), out_indices=(0, 1)), patch_size=16),
        dict(backbone=dict(pool_before=(2,), out_indices=(2, 0)), patch_size=8),
    ],
)
def test_a_pyramid_that_fits_is_let_pass(options):
    check_pyramids(Detector(**options))


@pytest.mark.parametrize('options', [dict(patch_size=4), dict(in_channels=12)])
def test_what_the_error_advises_works(options):
    with pytest.raises(UserError) as error:
        check_pyramids(Detector(**options))
    advice = r'set (\w+)=(\d+) in the config of the neck$'
    name, value = re.search(advice, str(error.value)).groups()

    model = Detector(**{**options, name: int(value)})

    check_pyramids(model)
    outs = model.neck(model.backbone(torch.randn(1, 3, 64, 64)))
    assert [out.shape[-1] for out in outs] == [16, 8, 4, 2]


def test_models_inside_another_are_checked():
    wrapped = nn.ModuleDict(dict(student=Detector(), teacher=Detector(patch_size=16)))

    with pytest.raises(UserError, match='patch_size 16'):
        check_pyramids(wrapped)


@pytest.mark.parametrize('neck', [None, nn.Identity(), nn.Sequential(nn.Identity())])
def test_other_necks_are_left_alone(neck):
    model = Detector()
    model.neck = neck

    check_pyramids(model)


def test_backbones_that_do_not_say_their_stride_are_left_alone():
    model = Detector(patch_size=16)
    model.backbone = nn.Identity()

    check_pyramids(model)


def test_the_hook_checks_before_a_run():
    hook = HOOKS.build(dict(type='mmpretrain.PyramidCheckHook'))

    with pytest.raises(UserError, match='patch_size 16'):
        hook.before_run(SimpleNamespace(model=Detector(patch_size=16)))


STAGES = [dict(depth=1, embed_dims=c, num_heads=2) for c in (12, 24, 48)]


def staged(neck=None, pooling='2d', **heads):
    """A model over three maps of 12, 24 and 48 channels."""
    model = nn.Module()
    model.backbone = PSViT(
        stages=STAGES, pooling=pooling, img_size=32, patch_size=4, out_indices=(0, 1, 2),
        out_type='featmap',
    )  # fmt: skip
    if neck is not None:
        model.neck = neck
    for name, head in heads.items():
        setattr(model, name, head)
    return model


def head(in_channels, in_index):
    made = nn.Module()
    made.in_channels, made.in_index = in_channels, in_index
    return made


@pytest.mark.parametrize(
    ('model', 'named'),
    [
        (dict(neck=FPN([12, 24, 40], 8, 3)), r'\[12, 24, 40\] of FPN .*=\[12, 24, 48\]'),
        (dict(neck=FPN([24, 48], 8, 2)), r'\[24, 48\] of FPN does not fit its backbone PSViT'),
        (dict(neck=SimpleFeaturePyramid(48, 8, patch_size=8)), 'set patch_size=16'),
        (dict(neck=SimpleFeaturePyramid(12, 8, patch_size=16)), 'set in_channels=48'),
        (
            dict(neck=SimpleFeaturePyramid(24, 8, patch_size=8), pooling='1d-odd'),
            'strides of 4 in height and 8 in width',
        ),
        (dict(decode_head=head([12, 24], [0, 2])), r'set in_channels=\[12, 48\] .* decode_head'),
        (dict(decode_head=head([12], [3])), r'in_index \[3\] of Module is none of the 3 maps'),
        (dict(auxiliary_head=nn.ModuleList([head(12, 0), head(24, 2)])), 'set in_channels=48'),
        (dict(head=head(12, -1)), 'set in_channels=48 in the config of head'),
        (dict(decode_head=nn.Sequential(head(48, -1), head(12, 1))), 'set in_channels=24'),
        (dict(decode_head=head(80, [0, 1, 2])), r'80 .* set in_channels=\[12, 24, 48\]'),
        (dict(neck=YOLOV3Neck(3, [48, 24, 10], [16, 8, 4])), 'YOLOV3Neck does not fit'),
    ],
)  # fmt: skip
def test_necks_and_heads_of_another_width_are_refused(model, named):
    odd = model.get('pooling') == '1d-odd'
    built = staged(**{**model, 'pooling': '1d' if odd else '2d'})
    if odd:
        built.backbone.out_indices = (0, 1)

    with pytest.raises(UserError, match=named):
        check_pyramids(built)


@pytest.mark.parametrize(
    'model',
    [
        dict(neck=FPN([12, 24, 48], 8, 4)),
        dict(neck=SimpleFeaturePyramid(48, 8, patch_size=16)),
        # What a neck makes of the maps is not known.
        dict(neck=nn.Identity(), head=head(12, -1)),
        dict(decode_head=head([12, 24, 48], [0, 1, 2]), auxiliary_head=head(24, 1)),
        dict(neck=YOLOV3Neck(3, [48, 24, 12], [16, 8, 4])),
        dict(decode_head=nn.Sequential(head(12, 0), head([12, 48], [0, 2]))),
        # One that concatenates the maps has the sum of their widths.
        dict(decode_head=head(84, [0, 1, 2])),
        dict(head=nn.Identity()),
    ],
)
def test_necks_and_heads_that_fit_are_let_pass(model):
    check_pyramids(staged(**model))


class Chosen(nn.Module):
    """A neck that takes one of the maps."""

    def __init__(self, index, kind=nn.Conv2d):
        super().__init__()
        self.in_channels, self.index = [STAGES[index]['embed_dims']], index
        self.conv = kind(*self.in_channels, 8, 1)

    def forward(self, maps):
        return (self.conv(maps[self.index]),)


class Sliced(nn.Conv2d):
    """A convolution that leaves out the channels it has no weights for."""

    def forward(self, image):
        return super().forward(image[:, : self.in_channels])


@pytest.mark.parametrize('neck', [Chosen(1), nn.Sequential(Chosen(0), nn.Identity())])
def test_a_neck_may_take_one_map_of_its_choice(neck):
    check_pyramids(staged(neck))


def test_a_layer_of_another_kind_may_take_another_width_than_it_says():
    neck = Chosen(0, Sliced)
    neck.index = 1

    check_pyramids(staged(neck))


def test_a_neck_that_fails_for_another_reason_is_let_pass():
    neck = Chosen(0)
    del neck.in_channels
    neck.index = 3

    check_pyramids(staged(neck))


def test_the_neck_of_a_run_is_left_as_it_was():
    neck = ChannelMapper([12, 24, 40], 8, norm_cfg=dict(type='BN'), num_outs=3)
    before = {name: value.clone() for name, value in neck.state_dict().items()}

    with pytest.raises(UserError, match='ChannelMapper takes a map of 40 channels where its'):
        check_pyramids(staged(neck))

    assert all(torch.equal(value, before[name]) for name, value in neck.state_dict().items())
    assert all(module.training for module in neck.modules())
    assert not any(module._forward_pre_hooks for module in neck.modules())


@pytest.mark.parametrize(
    ('head', 'made'),
    [
        ('rpn_head', nn.Identity()),
        ('roi_head', nn.Identity()),
        ('bbox_head', SimpleNamespace(prior_generator=None)),
    ],
)
def test_detectors_take_no_map_of_two_strides(head, made):
    stages = [dict(depth=1, embed_dims=24, num_heads=3)] * 2
    rows = PSViT(stages=stages, img_size=32, patch_size=8, pooling='1d', out_indices=(0, 1),
                 out_type='featmap')  # fmt: skip
    detector = nn.Module()
    detector.backbone, detector.neck = rows, FPN([24, 24], 8, 4)
    # A segmentor brings its maps to one size, and DETR asks for no stride.
    detector.bbox_head = SimpleNamespace()
    check_pyramids(detector)
    setattr(detector, head, made)

    with pytest.raises(UserError, match=r'map 1 of PSViT has strides of \d+ in height and \d+ in'):
        check_pyramids(detector)
