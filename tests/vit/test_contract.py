"""The one contract of every registered backbone, over all of them (shapes, gradients,
serialization, compilation).
"""

import pickle
from math import prod

import pytest
import torch
from backbones import BACKBONES, FIXED, build, images
from mmengine.utils import to_2tuple

from mmtoken.errors import UserError


def total(outputs):
    """A scalar that depends on every output."""
    leaves = torch.utils._pytree.tree_leaves(outputs)
    return sum((leaf * torch.randn(leaf.shape)).sum() for leaf in leaves)


def test_every_backbone_of_the_package_is_covered():
    assert {'TokenViT', 'LIFEViT'} <= set(BACKBONES)


@pytest.mark.parametrize(
    ('size', 'grid'),
    [((32, 32), (8, 8)), ((24, 40), (6, 10)), ((33, 18), (9, 5)), ((4, 4), (1, 1))],
)
def test_feature_map_has_the_grid_of_the_image(name, variant, size, grid):
    backbone = build(name, **{**variant, 'out_type': 'featmap'})

    (out,) = backbone(images(*size))

    pools = [to_2tuple(pool.stride) for pool in backbone.pools.values()]
    strides = [prod(axis) for axis in zip((1, 1), *pools, strict=True)]
    assert out.shape == (2, 24, *(-(-g // s) for g, s in zip(grid, strides, strict=True)))
    assert backbone.out_strides == (4 * strides[0],)
    assert out.is_contiguous()


@pytest.mark.parametrize(
    ('out_type', 'shape'), [('cls_token', (2, 24)), ('avg_featmap', (2, 24)), ('raw', (2, 65, 24))]
)
def test_out_type_decides_the_shape(name, out_type, shape):
    (out,) = build(name, out_type=out_type)(images())

    assert out.shape == shape


def test_two_auxiliary_tokens_give_class_and_distillation(name):
    ((cls, dist),) = build(name, num_aux_tokens=2)(images())

    assert cls.shape == dist.shape == (2, 24)
    assert not torch.equal(cls, dist)


@pytest.mark.parametrize('out_indices', [-1, [0, 2], (-3, -1), (2, 0), range(3)])
def test_out_indices_pick_layers_in_the_order_asked_for(name, out_indices):
    every = build(name, out_indices=(0, 1, 2), out_type='featmap')(images())

    picked = build(name, out_indices=out_indices, out_type='featmap')(images())

    expected = [out_indices] if isinstance(out_indices, int) else list(out_indices)
    for out, index in zip(picked, expected, strict=True):
        torch.testing.assert_close(out, every[index], rtol=0, atol=0)


def test_every_output_is_normed(name):
    outs = build(name, out_indices=(0, 1, 2), out_type='raw')(images())

    for out in outs:
        torch.testing.assert_close(out.mean(-1), torch.zeros(2, 65), atol=1e-5, rtol=0)
        torch.testing.assert_close(out.std(-1, correction=0), torch.ones(2, 65), atol=2e-2, rtol=0)


def test_gradients_reach_every_parameter(name, variant):
    backbone = build(name, **{**variant, 'out_type': 'raw'}).train()

    total(backbone(images())).backward()

    without = {
        n for n, p in backbone.named_parameters() if p.grad is None or not p.grad.abs().sum()
    }
    # Norms of stages that have no output wait, frozen, for a detector that asks for one.
    assert without == {n for n, p in backbone.named_parameters() if not p.requires_grad}
    assert all(n.startswith('stage_norms.') for n in without - FIXED.get(name, set()))


def test_layers_above_the_last_output_are_frozen_and_kept(name):
    backbone = build(name, out_indices=1, out_type='raw')

    total(backbone(images())).backward()

    trained = {n for n, p in backbone.named_parameters() if p.grad is not None}
    kept = {n for n, _ in backbone.named_parameters() if not n.startswith('layers.2')}
    assert trained == kept - FIXED.get(name, set())
    assert {n for n, p in backbone.named_parameters() if p.requires_grad} == trained


def test_state_dict_round_trip_computes_the_same(name, variant):
    source, target = build(name, **variant), build(name, **variant)
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)

    target.load_state_dict(source.state_dict(), strict=True)

    torch.testing.assert_close(target(images()), source(images()), rtol=0, atol=0)


def test_pickling_keeps_the_function(name, variant):
    backbone = build(name, **variant)

    copy = pickle.loads(pickle.dumps(backbone))

    torch.testing.assert_close(copy(images()), backbone(images()), rtol=0, atol=0)


def test_compiles_without_graph_breaks(name, variant):
    torch._dynamo.reset()
    backbone = build(name, **{**variant, 'out_type': 'featmap'})

    compiled = torch.compile(backbone, backend='eager', fullgraph=True)

    torch.testing.assert_close(compiled(images()), backbone(images()), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_mixed_precision_stays_close(name, variant, dtype):
    backbone = build(name, **{**variant, 'out_type': 'raw'})

    with torch.autocast('cpu', dtype):
        (mixed,) = backbone(images())

    (exact,) = backbone(images())
    assert mixed.isfinite().all()
    assert mixed.dtype == torch.float32
    assert (mixed.float() - exact).abs().mean() < 0.02


def test_every_tensor_is_on_the_models_device(name, variant):
    backbone = build(name, **{**variant, 'out_type': 'raw'}).to('meta')

    (out,) = backbone(images().to('meta'))

    assert out.device == torch.device('meta')


def test_frozen_stages_get_no_gradient_and_stay_in_evaluation_mode(name):
    backbone = build(name, frozen_stages=2, drop_rate=0.1, out_type='raw').train()

    frozen = {
        n.split('.')[0] + '.' + n.split('.')[1]
        for n, p in backbone.named_parameters()
        if '.' in n and not p.requires_grad
    }

    stem = {f'patch_embed.{n.split(".")[0]}' for n, _ in backbone.patch_embed.named_parameters()}
    assert frozen == {*stem, 'layers.0', 'layers.1'}
    assert not (backbone.pos_embed.requires_grad or backbone.cls_token.requires_grad)
    assert not (backbone.layers[1].training or backbone.patch_embed.training)
    assert backbone.layers[2].training


def test_with_its_last_layer_frozen_the_whole_backbone_is(name):
    backbone = build(name, frozen_stages=3, out_type='raw').train()

    assert not any(p.requires_grad for p in backbone.parameters())
    assert not backbone.ln1.training


def test_frozen_stages_zero_freezes_the_embedding_only(name):
    backbone = build(name, frozen_stages=0)

    assert not backbone.pos_embed.requires_grad
    assert not backbone.patch_embed.projection.weight.requires_grad
    assert all(p.requires_grad for p in backbone.layers.parameters())


@pytest.mark.parametrize('frozen_stages', [-2, 4, 1.0, '1'])
def test_stages_that_are_not_there_are_not_frozen(name, frozen_stages):
    with pytest.raises(UserError, match=f'frozen_stages {frozen_stages!r} is none of -1..3'):
        build(name, frozen_stages=frozen_stages)


def test_checkpointing_leaves_outputs_and_gradients_unchanged(name, variant):
    plain = build(name, **{**variant, 'out_type': 'raw'}).train()
    saving = build(name, **{**variant, 'out_type': 'raw'}, with_cp=True).train()

    for backbone in (plain, saving):
        torch.manual_seed(2)
        total(backbone(images())).backward()

    for (n, a), b in zip(plain.named_parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, msg=n)


def test_images_at_the_trained_size_use_the_position_embedding_as_it_is(name):
    backbone = build(name, out_type='raw')

    tokens = backbone.embed(images())

    patches, _ = backbone.patch_embed(images())
    torch.testing.assert_close(tokens.patches, patches + backbone.pos_embed[:, 1:])


def test_depth_of_every_parameter_is_known(name):
    backbone = build(name, num_aux_tokens=2)

    depths = {
        n: backbone.get_layer_depth(f'backbone.{n}', 'backbone.')
        for n, _ in backbone.named_parameters()
    }

    assert {total for _, total in depths.values()} == {5}
    assert (
        depths['pos_embed'][0]
        == depths['dist_token'][0]
        == depths['patch_embed.projection.weight'][0]
        == 0
    )
    assert [depths[f'layers.{i}.attn.proj.weight'][0] for i in range(3)] == [1, 2, 3]
    assert depths['ln1.weight'][0] == 4
    assert backbone.get_layer_depth('head.fc.weight', 'backbone.') == (4, 5)
