"""T2T-ViT behind necks, under TL-Align, exported and compiled, and its stem in other backbones."""

import io

import numpy as np
import onnxruntime
import pytest
import torch
from explicit_attention import explicit_trace
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from small_t2t import KINDS, SMALL, build, disturb, images
from torch import nn
from torch.export import Dim

from mmtoken.dense import SimpleFeaturePyramid
from mmtoken.mixing import PatchCutMix
from mmtoken.t2t import T2TViT
from mmtoken.vit import PatchStem, TokenViT


def test_the_stem_is_of_the_first_depth():
    backbone = build()

    depths = {backbone.get_layer_depth(f'patch_embed.{n}')[0]
              for n, _ in backbone.patch_embed.named_parameters()}  # fmt: skip
    assert depths == {0}


def test_windows_and_a_pyramid_make_maps_for_a_detector():
    backbone = disturb(build(window_size=2, global_attn_indexes=(-1,), out_type='featmap'))
    neck = SimpleFeaturePyramid(in_channels=24, out_channels=8)

    levels = neck(backbone(images(70, 96)))

    assert [tuple(level.shape[2:]) for level in levels[:3]] == [(20, 24), (10, 12), (5, 6)]
    everywhere = build(out_type='featmap')
    everywhere.load_state_dict(backbone.state_dict())
    assert not torch.allclose(backbone(images())[0], everywhere(images())[0])


@pytest.mark.parametrize('kind', KINDS)
def test_an_exported_graph_takes_any_batch_and_size(kind):
    backbone = disturb(build(kind, out_type='featmap'))
    sizes = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}

    program = torch.export.export(backbone, (images(80, 96),), dynamic_shapes=(sizes,))

    for other in (images(), images(70, 131, batch=5)):
        torch.testing.assert_close(program.module()(other), backbone(other), rtol=0, atol=1e-6)


@pytest.mark.long
@pytest.mark.parametrize('kind', KINDS)
def test_onnx_takes_any_batch_and_size(kind):
    backbone, file = disturb(build(kind, out_type='featmap')), io.BytesIO()
    sizes = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}

    torch.onnx.export(
        backbone, (images(80, 96),), dynamo=True, dynamic_shapes=(sizes,), verbose=False
    ).save(file)
    session = onnxruntime.InferenceSession(file.getvalue())

    for other in (images(), images(70, 131, batch=5)):
        (found,) = session.run(None, {session.get_inputs()[0].name: other.numpy()})
        (expected,) = backbone(other)
        torch.testing.assert_close(torch.from_numpy(found), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize('kind', KINDS)
def test_compiles_without_graph_breaks(kind):
    torch._dynamo.reset()
    backbone = disturb(build(kind))

    compiled = torch.compile(backbone, backend='eager', fullgraph=True)

    torch.testing.assert_close(compiled(images()), backbone(images()), rtol=1e-5, atol=1e-5)


def classifier(kind: str, **backbone) -> nn.Module:
    torch.manual_seed(0)
    stem = dict(token_layer=kind, token_dims=8)
    model = MODELS.build(
        dict(
            type='TLAlignClassifier',
            backbone=dict(type='T2TViT', arch=SMALL, img_size=64, stem=stem, **backbone),
            head=dict(type='VisionTransformerClsHead', num_classes=5, in_channels=24),
        )
    )
    return disturb(model).train()


@pytest.mark.parametrize('kind', KINDS)
def test_tl_align_trains_it(kind):
    model = classifier(kind)
    np.random.seed(0)
    samples = [DataSample().set_gt_label(label) for label in (3, 0, 4, 1)]

    losses = model.loss(images(batch=4), samples)
    losses['loss'].backward()

    assert losses['loss'].isfinite()
    learning = [p for p in model.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in learning)


def test_tl_align_follows_the_attention_of_its_layers():
    model = classifier('performer').eval()
    np.random.seed(0)
    mixed = PatchCutMix(16).mix(images(batch=4))
    trace = torch.rand(4, 17, 1)

    _, found = model.backbone(mixed.images, trace=trace)

    expected = explicit_trace(model.backbone, mixed.images, trace)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_a_plain_vit_takes_the_stem_and_t2t_any_other():
    plain = TokenViT(SMALL, 64, stem=dict(type='T2TStem', token_dims=8), out_type='featmap')
    other = T2TViT(SMALL, 32, patch_size=8, stem=dict(type='PatchStem'))

    assert plain(images(70, 64))[0].shape == (2, 24, 5, 4)
    assert isinstance(other.patch_embed, PatchStem)
