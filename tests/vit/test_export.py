"""An exported backbone computes the same for images of another number and another size than it was
exported with.
"""

import io
import warnings

import onnxruntime
import pytest
import torch
from backbones import VARIANTS, build, images
from torch import Tensor
from torch.export import Dim

VARIANTS = {
    **VARIANTS,
    'raw': dict(out_type='raw'),
    'maps of two layers': dict(out_type='featmap', out_indices=(0, 2), pool_before=(1,)),
    'windowed maps': dict(out_type='featmap', window_size=3, num_aux_tokens=0),
}
BATCH = {0: Dim.DYNAMIC}
SIZE = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}


def leaves(outputs) -> list[Tensor]:
    return torch.utils._pytree.tree_leaves(outputs)


def run_onnx(backbone: torch.nn.Module, example: Tensor, dynamic: dict, inputs: Tensor):
    """What ONNX's own runtime makes of images."""
    program = torch.onnx.export(backbone, (example,), dynamo=True, dynamic_shapes=(dynamic,))
    file = io.BytesIO()
    program.save(file)
    session = onnxruntime.InferenceSession(file.getvalue())
    found = session.run(None, {session.get_inputs()[0].name: inputs.numpy()})
    return [torch.from_numpy(array) for array in found]


def test_an_exported_graph_takes_another_batch(name, variant):
    backbone = build(name, **variant)

    exported = torch.export.export(backbone, (images(),), dynamic_shapes=(BATCH,)).module()

    expected = backbone(images(batch=5))
    torch.testing.assert_close(exported(images(batch=5)), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize('variant', ['plain', 'class and registers', 'windowed', 'pooled'])
def test_an_exported_graph_takes_another_size(name, variant):
    backbone = build(name, **VARIANTS[variant])

    exported = torch.export.export(backbone, (images(32, 40),), dynamic_shapes=(SIZE,)).module()

    for other in (images(44, 52, batch=5), images()):
        torch.testing.assert_close(exported(other), backbone(other), rtol=0, atol=1e-6)


def test_a_traced_graph_takes_another_batch(name, variant):
    backbone = build(name, **variant)

    with warnings.catch_warnings():
        # Sizes of the image are constants of the graph, of which torch warns.
        warnings.simplefilter('ignore', torch.jit.TracerWarning)
        traced = torch.jit.trace(backbone, images())

    expected = backbone(images(batch=5))
    torch.testing.assert_close(traced(images(batch=5)), expected, rtol=0, atol=1e-6)


@pytest.mark.long
def test_onnx_takes_another_batch(name, variant):
    backbone = build(name, **variant)

    found = run_onnx(backbone, images(), BATCH, images(batch=5))

    expected = leaves(backbone(images(batch=5)))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ('name', 'variant'),
    [('TokenViT', 'windowed'), ('LIFEViT', 'maps of two layers'), ('LIFEViT', 'plain')],
)
def test_onnx_takes_another_batch_and_size(name, variant):
    backbone = build(name, **VARIANTS[variant])

    found = run_onnx(backbone, images(32, 40), SIZE, images(44, 52, batch=5))

    expected = leaves(backbone(images(44, 52, batch=5)))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
