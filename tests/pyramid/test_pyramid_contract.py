"""What every pyramid can do, over all of them."""

import io
import math
import warnings

import onnxruntime
import pytest
import torch
from mmpretrain.registry import MODELS

from mmtoken.errors import UserError
from mmtoken.pyramid import TokenPyramid

ATTENDING = dict(
    arch=dict(embed_dims=12, depths=(2, 1, 1), num_heads=(3, 3, 3)),
    window_size=4,
    pad_small_map=True,
)
CONVOLVING = dict(
    type='DWNet', arch=dict(embed_dims=12, depths=(2, 1, 1), group_channels=(3, 3, 3))
)
LIFE = dict(type='LIFEProjection')
PYRAMIDS = {
    'Swin': dict(ATTENDING, type='Swin'),
    'Swin LIFE': dict(ATTENDING, type='Swin', projection=LIFE),
    'SwinV2': dict(ATTENDING, type='SwinV2'),
    'SwinV2 LIFE': dict(ATTENDING, type='SwinV2', projection=LIFE),
    'SwinV2 LIFE grid': dict(ATTENDING, type='SwinV2', projection=dict(LIFE, scope='grid')),
    'CAT': dict(ATTENDING, type='CAT'),
    'DWNet': dict(CONVOLVING),
    'DWNet homogeneous': dict(CONVOLVING, kernel='homogeneous'),
    'DWNet inhomogeneous': dict(CONVOLVING, kernel='inhomogeneous'),
}


@pytest.fixture(params=PYRAMIDS)
def build(request):
    """A function that builds one pyramid after the other, its weights drawn anew; small ones have
    two stages, and small kernels, since a graph has a node for each place of theirs.
    """

    def make(small=False, **options):
        torch.manual_seed(0)
        cfg = {'img_size': 64, 'drop_path_rate': 0.0, 'out_indices': (0, 1, 2)}
        cfg |= PYRAMIDS[request.param]
        if small:
            arch = {k: v[:2] if isinstance(v, tuple) else v for k, v in cfg['arch'].items()}
            cfg |= dict(arch=arch, out_indices=(0, 1))
            cfg |= dict(window_size=3) if cfg['type'] == 'DWNet' else {}
        built = MODELS.build(cfg | options)
        for name, parameter in built.named_parameters():
            if 'norm' not in name and 'logit_scale' not in name and 'bn' not in name:
                torch.nn.init.normal_(parameter, std=0.2)
            elif 'norm' in name:
                torch.nn.init.normal_(parameter, 1.0, 0.1)
        return built.eval()

    return make


def images(height=64, width=64, batch=2):
    draw = torch.Generator().manual_seed(1)
    return torch.randn(batch, 3, height, width, generator=draw)


def test_every_pyramid_of_the_package_is_covered():
    built = {cfg['type'] for cfg in PYRAMIDS.values()}
    registered = {
        name
        for name, kind in MODELS.module_dict.items()
        if isinstance(kind, type) and issubclass(kind, TokenPyramid)
    }
    assert built == registered


@torch.no_grad()
@pytest.mark.parametrize('size', [(64, 64), (50, 86), (17, 4)])
def test_maps_have_the_grid_of_the_image_halved_stage_by_stage(build, size):
    backbone = build()
    outs = backbone(images(*size))

    for stage, out in enumerate(outs):
        grid = [math.ceil(side / (4 * 2**stage)) for side in size]
        assert out.shape == (2, 12 * 2**stage, *grid) and out.is_contiguous()
        assert out.isfinite().all()
    assert backbone.out_strides == (4, 8, 16) and backbone.out_channels == (12, 24, 48)


@torch.no_grad()
def test_it_compiles_without_graph_breaks(build):
    torch._dynamo.reset()
    backbone = build(small=True)
    compiled = torch.compile(backbone, backend='eager', fullgraph=True)

    for found, expected in zip(compiled(images()), backbone(images()), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


# What attends, LIFE's projections in place of plain ones; tests/dwnet exports for any size, too.
EXPORTED = ['Swin', 'SwinV2 LIFE', 'SwinV2 LIFE grid', 'CAT']


def some(names, *always):
    """All names, of which the others are left to long tests."""
    return [
        name if name in always else pytest.param(name, marks=pytest.mark.long) for name in names
    ]


@torch.no_grad()
@pytest.mark.parametrize('build', EXPORTED, indirect=True)
def test_an_exported_graph_takes_another_batch_and_leaves_nothing_behind(build):
    # No window divides their grids.
    backbone, size = build(small=True), (50, 86)
    dynamic = ({0: torch.export.Dim.DYNAMIC},)

    exported = torch.export.export(backbone, (images(*size),), dynamic_shapes=dynamic).module()

    for batch in (5, 1):
        expected = backbone(images(*size, batch=batch))
        assert all(type(out) is torch.Tensor for out in expected)
        found = exported(images(*size, batch=batch))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('build', some(EXPORTED, 'Swin'), indirect=True)
def test_onnx_takes_another_batch_also_where_gradients_are_on(build):
    backbone, size, file = build(small=True), (50, 86), io.BytesIO()
    dynamic = ({0: torch.export.Dim.DYNAMIC},)

    torch.onnx.export(
        backbone, (images(*size),), dynamo=True, dynamic_shapes=dynamic, verbose=False
    ).save(file)

    session, given = onnxruntime.InferenceSession(file.getvalue()), images(*size, batch=3)
    found = session.run(None, {session.get_inputs()[0].name: given.numpy()})
    for out, expected in zip(found, backbone(given), strict=True):
        torch.testing.assert_close(torch.from_numpy(out), expected.detach(), rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize('build', EXPORTED, indirect=True)
def test_a_graph_that_was_traced_with_one_image_takes_several(build):
    backbone = build(small=True)

    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        traced = torch.jit.trace(backbone, images(batch=1), check_trace=False)

    torch.testing.assert_close(traced(images(batch=3)), backbone(images(batch=3)))


@torch.no_grad()
def test_mixed_precision_stays_close(build):
    backbone = build()
    with torch.autocast('cpu', torch.bfloat16):
        mixed = backbone(images())

    for found, expected in zip(mixed, backbone(images()), strict=True):
        assert found.isfinite().all()
        assert (found.float() - expected).abs().mean() < 0.03 * expected.abs().mean() + 0.02


def test_every_tensor_is_on_the_models_device(build):
    backbone = build().to('meta')
    assert all(out.device.type == 'meta' for out in backbone(images().to('meta')))


def test_every_output_alone_is_that_among_all(build):
    every = build()
    outs, state = every(images()), every.state_dict()
    for stage in (0, 1, -1):
        backbone = build(out_indices=stage)
        backbone.load_state_dict({name: state[name] for name in backbone.state_dict()})
        (alone,) = backbone(images())
        torch.testing.assert_close(alone, outs[stage], rtol=0, atol=0)


def test_intermediate_layers_are_the_stages(build):
    backbone = build()

    found = backbone.get_intermediate_layers(images(50, 86), n=3, reshape=True)

    for out, expected in zip(found, backbone(images(50, 86)), strict=True):
        torch.testing.assert_close(out, expected, rtol=0, atol=0)
    (sequence,) = backbone.get_intermediate_layers(images(50, 86), n=[1])
    torch.testing.assert_close(sequence, found[1].flatten(2).mT, rtol=0, atol=0)


def test_a_stage_without_a_norm_is_given_as_it_is_or_refused(build):
    backbone = build(out_indices=(1,))

    (out,) = backbone.get_intermediate_layers(images(), n=[0], norm=False)

    assert out.shape == (2, 256, 12)
    with pytest.raises(UserError, match='stage 0 has no norm, .* use norm=False'):
        backbone.get_intermediate_layers(images(), n=2)
    with pytest.raises(UserError, match='n 3 is more than the 2 that run'):
        backbone.get_intermediate_layers(images(), n=3)


@pytest.mark.parametrize('build', some(PYRAMIDS, 'SwinV2 LIFE grid', 'DWNet'), indirect=True)
def test_it_compiles_where_blocks_are_recomputed(build):
    torch._dynamo.reset()
    plain, recomputed = build(small=True).train(), build(small=True, with_cp=True).train()
    compiled = torch.compile(recomputed, backend='aot_eager', fullgraph=True)

    for model in (plain, compiled):
        sum(out.square().mean() for out in model(images())).backward()

    for (name, mine), expected in zip(
        recomputed.named_parameters(), plain.parameters(), strict=True
    ):
        scale = expected.grad.abs().max().item()
        torch.testing.assert_close(
            mine.grad, expected.grad, rtol=1e-3, atol=1e-4 * scale + 1e-7, msg=name
        )
    for mine, expected in zip(recomputed.buffers(), plain.buffers(), strict=True):
        # Statistics are those of one step.
        torch.testing.assert_close(mine, expected)


def test_layers_of_the_rates_are_the_blocks_each_with_the_merging_before_it(build):
    backbone = build()
    plans, last = backbone.plans, backbone.num_layers + 1
    of_parameter = {id(p): backbone.get_layer_depth(f'backbone.{name}', 'backbone.')
                    for name, p in backbone.named_parameters()}  # fmt: skip

    def depths(module):
        found = {of_parameter.pop(id(p)) for p in module.parameters()}
        assert {count for _, count in found} == {last + 1}
        return [depth for depth, _ in found]

    assert depths(backbone.patch_embed) == [0]
    for index, block in enumerate(backbone.layers):
        assert depths(block) == [index + 1]
    starts = [i for i in range(1, last - 1) if plans[i].stage > plans[i - 1].stage]
    for start in starts:
        assert depths(backbone.pools[str(start)]) == [start + 1]
    for norm in (backbone.norm0, backbone.norm1, backbone.norm2):
        assert depths(norm) == [last]
    # CAT's absolute positions are left.
    assert len(starts) == 2 and {*of_parameter.values()} <= {(0, last + 1)}


def test_what_leaves_a_frozen_pyramid_needs_no_gradient(build):
    backbone = build(frozen_stages=3).train()
    assert not any(p.requires_grad for p in backbone.parameters())
    assert not any(out.requires_grad for out in backbone(images()))
