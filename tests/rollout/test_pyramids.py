"""Roll-outs of pyramids: through windows, shifts, padding and mergings, from any stage."""

from pathlib import Path

import pytest
import torch
from explicit_attention import layers_of
from mmdet.registry import MODELS as DETECTORS
from mmengine.config import Config
from mmpretrain.registry import MODELS as CLASSIFIERS
from mmseg.registry import MODELS as SEGMENTORS

from mmtoken.errors import UserError
from mmtoken.pyramid import PatchMerging
from mmtoken.rollout import capture, dense_rollout, explicit_matrix, roll_back, token_rows
from mmtoken.rollout.capture import Step
from mmtoken.rollout.explicit import roll_back_explicitly
from mmtoken.swin import Swin, SwinV2

CONFIGS = Path(__file__).parents[2] / 'configs' / 'digits'
ARCH = dict(embed_dims=12, depths=(2, 2), num_heads=(2, 3))
SIZES = [(32, 32), (26, 42)]
KINDS = {
    'swin': (Swin, {}),
    'swin-v2': (SwinV2, {}),
    'life': (SwinV2, dict(projection=dict(type='LIFEProjection', scope='grid'))),
}


@pytest.fixture(params=[(kind, size) for kind in KINDS for size in SIZES], ids=str)
def steps(request):
    """What ran, of grids that windows of 4 divide and of others; attention far from uniform."""
    kind, size = request.param
    build, options = KINDS[kind]
    torch.manual_seed(0)
    backbone = build(ARCH, img_size=32, window_size=4, pad_small_map=True, **options).eval()
    for name, parameter in backbone.named_parameters():
        if 'qkv' in name or 'norm' in name:
            torch.nn.init.normal_(parameter, std=0.5)
    with torch.no_grad():
        return [Step(*found) for found in layers_of(backbone, torch.randn(1, 3, *size))]


def written_out(step):
    """½(Ā + I) or the merging's means, a column at a time, by the trace forward."""
    identity = torch.eye(step.tokens.x.shape[1])[None]
    with torch.no_grad():
        return step.layer(step.tokens.with_(trace=identity, exact_trace=True)).trace[0]


def test_rolling_back_is_the_explicit_product(steps):
    draw = torch.Generator().manual_seed(2)
    count = written_out(steps[-1]).shape[0]
    weights = torch.rand(3, count, generator=draw)

    expected = weights
    for step in reversed(steps):
        expected = expected @ written_out(step)

    torch.testing.assert_close(roll_back(steps, weights), expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(
        roll_back_explicitly(steps, weights, 'mean', 0.0), expected, atol=1e-6, rtol=1e-5
    )


def test_rows_sum_to_one_and_stay_in_their_windows(steps):
    for step in steps:
        matrix = explicit_matrix(step)
        torch.testing.assert_close(matrix.sum(dim=1), torch.ones(len(matrix)))
        if isinstance(step.layer, PatchMerging):
            continue
        rows, columns = (torch.arange(side) for side in step.tokens.grid)
        size, shifts = 4, step.layer.attn.shifts_of(step.tokens.grid)
        sides = [-(-side // size) * size for side in step.tokens.grid]
        # Where a place stands after the roll.
        rows, columns = (
            (places - shift) % side // size
            for places, shift, side in zip((rows, columns), shifts, sides, strict=True)
        )
        window = (rows[:, None] * 1000 + columns).flatten()
        assert not matrix[window[:, None] != window].any()


def test_rows_forward_are_those_backward(steps):
    (places, found), *_ = token_rows(steps)
    last = roll_back(steps, torch.eye(found[-1].shape[0]))
    torch.testing.assert_close(found[-1], last[:, places], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize('fusion', ['min', 'max'])
def test_other_fusions_are_of_the_single_heads(steps, fusion):
    step = steps[1]
    heads = step.layer.attn.heads(step.layer.entering(step.tokens))
    fused = heads.amin(0) if fusion == 'min' else heads.amax(0)
    fused = fused / fused.sum(dim=1, keepdim=True)
    torch.testing.assert_close(
        explicit_matrix(step, fusion), (fused + torch.eye(len(fused))) / 2, atol=1e-6, rtol=1e-5
    )


LEAVES = {
    'classifier': ('swinv2-d6w48_digits-cls', 'mmpretrain', CLASSIFIERS),
    'detector': ('mask-rcnn_swinv2-d6w48_digits-det', 'mmdet', DETECTORS),
    'segmentor': ('upernet_life-swinv2-d6w48_digits-seg', 'mmseg', SEGMENTORS),
}


@pytest.fixture
def leaf():
    """A function that builds the model of a leaf config."""

    def make(kind, **backbone):
        name, scope, registry = LEAVES[kind]
        cfg = Config.fromfile(CONFIGS / f'{name}.py')
        cfg.model.backbone.update(backbone, init_cfg=None)
        if kind == 'classifier':
            cfg.model.data_preprocessor = cfg.data_preprocessor
        torch.manual_seed(0)
        with registry.switch_scope_and_registry(scope) as own:
            model = own.build(cfg.model).eval()
        model.dataset_meta = dict(classes=cfg.metainfo.classes)
        for name, parameter in model.backbone.named_parameters():
            if 'norm' in name and parameter.requires_grad:
                torch.nn.init.normal_(parameter, 0.5, 0.3)
        return model

    return make


@pytest.mark.parametrize('kind', LEAVES)
@pytest.mark.parametrize('stage', [None, 0, -2])
def test_class_maps_of_every_library_from_any_stage(leaf, image_data, kind, stage):
    model, data = leaf(kind), image_data(kind, 64, 64)
    maps = dense_rollout(model, data, score_threshold=0.0, stage=stage)

    taken, last = maps.capture, 2 if stage is None else stage % 3
    assert taken.depth == 2 * (last + 1) and taken.left.grid == (16 >> last, 16 >> last)
    assert taken.token_sides == (4 << last, 4 << last)
    assert maps
    for found in maps.values():
        assert found.shape == (16, 16)
        assert found.sum() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize('kind', ['detector', 'segmentor'])
# A unit of CAT is three blocks.
@pytest.mark.parametrize(('pyramid', 'depth', 'blocks'), [('Swin', 2, 2), ('CAT', 1, 3)])
@pytest.mark.parametrize('stage', [None, 0])
def test_detectors_and_segmentors_over_other_pyramids(
    leaf, image_data, kind, pyramid, depth, blocks, stage
):
    arch = dict(embed_dims=48, depths=[depth] * 3, num_heads=(3, 6, 12))
    model = leaf(kind, type=f'mmpretrain.{pyramid}', arch=arch, projection=None)

    maps = dense_rollout(model, image_data(kind, 64, 64), score_threshold=0.0, stage=stage)

    last = 2 if stage is None else stage
    assert type(model.backbone).__name__ == pyramid
    assert maps.capture.depth == blocks * (last + 1)
    assert maps and all(found.sum() == pytest.approx(1, abs=1e-4) for found in maps.values())


def test_a_stage_that_is_not_there_is_refused(leaf, image_data, build):
    with pytest.raises(UserError, match=r'stage 3 is none of SwinV2, which runs stages 0..2'):
        capture(leaf('segmentor'), image_data('segmentor', 64, 64), stage=3)
    with pytest.raises(UserError, match='stage 1.0 is none of SwinV2'):
        capture(leaf('segmentor'), image_data('segmentor', 64, 64), stage=1.0)
    with pytest.raises(UserError, match='stage 0 is none of LIFEViT, which runs no stages'):
        capture(build('segmentor'), image_data('segmentor', 64, 64), stage=0)


def test_a_backbone_without_attention_is_refused(image_data):
    cfg = Config.fromfile(CONFIGS / 'dwnet-d6w52_digits-cls.py')
    model = dict(cfg.model, data_preprocessor=cfg.data_preprocessor)
    with CLASSIFIERS.switch_scope_and_registry('mmpretrain') as own:
        built = own.build(model)
    with pytest.raises(UserError, match='DWNet mixes tokens without attention'):
        capture(built, image_data('classifier', 64, 64))
