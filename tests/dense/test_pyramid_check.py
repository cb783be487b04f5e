"""A pyramid of another stride or width than its backbone's maps is refused before a run starts."""

import re
from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import HOOKS
from torch import nn

from mmtoken.dense import SimpleFeaturePyramid, check_pyramids
from mmtoken.errors import UserError
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
