"""An exported backbone computes the same for images of another number and another size than it was
exported with.
"""

import functools
import io
import warnings

import onnxruntime
import pytest
import torch
from backbones import BACKBONES, VARIANTS, build, images, variants_of
from torch import Tensor
from torch.export import Dim, ExportedProgram

VARIANTS = {
    **VARIANTS,
    'raw': dict(out_type='raw'),
    'maps of two layers': dict(out_type='featmap', out_indices=(0, 2), pool_before=(1,)),
    'windowed maps': dict(out_type='featmap', window_size=3, num_aux_tokens=0),
}
BATCH = {0: Dim.DYNAMIC}
SIZE = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
# What is a `TokenViT` with other defaults has windows, tokens and pools of the same code.
PAIRS = [
    (name, variant)
    for name in BACKBONES
    for variant in variants_of(name, VARIANTS)
    if name in ('TokenViT', 'LIFEViT') or variant == 'plain'
]
# Graphs of any size cost three times as much: tokens, windows, pools, and each stem once. T2T's are
# in tests/t2t.
OF_ANY_SIZE = [
    ('TokenViT', 'class and registers'),
    ('TokenViT', 'windowed'),
    ('LIFEViT', 'maps of two layers'),
    ('LVViT', 'plain'),
    ('PSViT', 'stages'),
]


def leaves(outputs) -> list[Tensor]:
    return torch.utils._pytree.tree_leaves(outputs)


@functools.cache
def program(name: str, variant: str, any_size: bool = False) -> ExportedProgram:
    """A backbone as exported for images of any number and, if asked for, any size."""
    backbone = build(name, **VARIANTS[variant])
    example, dynamic = (images(32, 40), SIZE) if any_size else (images(), BATCH)
    return torch.export.export(backbone, (example,), dynamic_shapes=(dynamic,))


def run_onnx(exported: ExportedProgram, inputs: Tensor) -> list[Tensor]:
    """What ONNX's own runtime makes of images."""
    file = io.BytesIO()
    torch.onnx.export(exported, dynamo=True, verbose=False).save(file)
    session = onnxruntime.InferenceSession(file.getvalue())
    found = session.run(None, {session.get_inputs()[0].name: inputs.numpy()})
    return [torch.from_numpy(array) for array in found]


def test_every_backbone_is_exported_for_any_batch_and_size():
    assert {name for name, _ in PAIRS} == set(BACKBONES)
    assert {name for name, _ in OF_ANY_SIZE} | {'T2TViT'} == set(BACKBONES)


@pytest.mark.parametrize(('name', 'variant'), PAIRS)
def test_an_exported_graph_takes_another_batch(name, variant):
    backbone = build(name, **VARIANTS[variant])

    exported = program(name, variant).module()

    for batch in (5, 1):
        expected = backbone(images(batch=batch))
        torch.testing.assert_close(exported(images(batch=batch)), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(('name', 'variant'), OF_ANY_SIZE)
def test_an_exported_graph_takes_another_size(name, variant):
    backbone = build(name, **VARIANTS[variant])

    exported = program(name, variant, any_size=True).module()

    for other in (images(44, 52, batch=5), images()):
        torch.testing.assert_close(exported(other), backbone(other), rtol=0, atol=1e-6)


@pytest.mark.parametrize(('name', 'variant'), PAIRS)
def test_a_traced_graph_takes_another_batch(name, variant):
    backbone = build(name, **VARIANTS[variant])

    with warnings.catch_warnings():
        # Sizes of the image are constants of the graph, of which torch warns.
        warnings.simplefilter('ignore', torch.jit.TracerWarning)
        traced = torch.jit.trace(backbone, images(), check_trace=False)

    expected = backbone(images(batch=5))
    torch.testing.assert_close(traced(images(batch=5)), expected, rtol=0, atol=1e-6)


@pytest.mark.long
@pytest.mark.parametrize(('name', 'variant'), PAIRS)
def test_onnx_takes_another_batch(name, variant):
    found = run_onnx(program(name, variant), images(batch=5))

    expected = leaves(build(name, **VARIANTS[variant])(images(batch=5)))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ('name', 'variant'), [('TokenViT', 'windowed'), ('LIFEViT', 'maps of two layers')]
)
def test_onnx_takes_another_batch_and_size(name, variant):
    found = run_onnx(program(name, variant, any_size=True), images(44, 52, batch=5))

    expected = leaves(build(name, **VARIANTS[variant])(images(44, 52, batch=5)))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
