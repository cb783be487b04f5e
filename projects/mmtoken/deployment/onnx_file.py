"""An ONNX file of a model, kept only where ONNX Runtime computes what the model does."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from contextlib import redirect_stdout
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.export import Dim

from mmtoken.errors import UserError

# By how much outputs may differ, relative to the largest, or absolutely where that is below 1.
TOLERANCE = 1e-4
NEEDED = ('onnx', 'onnxscript', 'onnxruntime')
# What torch's exporter writes itself, and newer ones that it converts to.
OPSETS = range(18, 24)


def require_onnx() -> None:
    """Refuse to go on without what writes and runs ONNX.

    Raises:
        UserError: If a package is missing; the message names it.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise UserError(
            f'{", ".join(missing)} is not installed, and ONNX export needs it; '
            f'pip install {" ".join(missing)}'
        )


def onnx_bytes(
    model: nn.Module,
    size: tuple[int, int],
    dynamic_batch: bool = False,
    opset: int = OPSETS[0],
    notes: Mapping[str, str] = {},
) -> bytes:
    """Make an ONNX graph of a model.

    Args:
        model: Maps images, (B, 3, height, width), to a flat tuple of tensors.
        size: Height and width of the images.
        dynamic_batch: Whether the graph takes any number of images, or one.
        opset: Version of ONNX's operators, one of `OPSETS`.
        notes: What the file says of itself, in its metadata.

    Returns:
        The content of the file; its input is called `images`, its outputs `output0` and so on.

    Raises:
        UserError: If the opset is none of `OPSETS`.
    """
    if opset not in OPSETS:
        raise UserError(f'opset {opset} is not in {OPSETS[0]}..{OPSETS[-1]}; use one of these')
    # A graph of one image would be bound to one.
    example = torch.zeros(2 if dynamic_batch else 1, 3, *size)
    with torch.no_grad(), warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter('ignore')
        outputs = [f'output{index}' for index in range(len(model(example)))]
        program = torch.onnx.export(
            model,
            (example,),
            dynamo=True,
            opset_version=opset,
            input_names=['images'],
            output_names=outputs,
            dynamic_shapes=({0: Dim('batch')},) if dynamic_batch else None,
            verbose=False,
        )
    program.model.metadata_props.update(notes)
    file = io.BytesIO()
    program.save(file)
    return file.getvalue()


def largest_difference(model: nn.Module, content: bytes, images: Tensor) -> tuple[float, float]:
    """Hold what ONNX Runtime computes against the model.

    Args:
        model: What the graph was made of.
        content: The graph.
        images: (B, 3, height, width).

    Returns:
        The largest difference of all outputs, and the largest number in them.

    Raises:
        UserError: If they have other shapes.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=['CPUExecutionProvider'])
    found = [torch.from_numpy(out) for out in session.run(None, {'images': images.numpy()})]
    with torch.no_grad():
        expected = model(images)
    got, wanted = ([tuple(out.shape) for out in outs] for outs in (found, expected))
    if got != wanted:
        raise UserError(
            f'the exported graph gives outputs of shapes {got} where the model gives {wanted}; try '
            'another --opset'
        )
    pairs = zip(found, expected, strict=True)
    # NaN is larger than anything here, since max() would pass it over.
    differences = [(a - b).abs().nan_to_num(nan=torch.inf).max().item() for a, b in pairs]
    return max(differences), max(out.abs().max().item() for out in expected)


def write_onnx(
    model: nn.Module,
    path: Path,
    size: tuple[int, int],
    dynamic_batch: bool = False,
    opset: int = OPSETS[0],
    notes: Mapping[str, str] = {},
) -> tuple[float, float]:
    """Write an ONNX file that was seen to compute the same.

    Args:
        model: As of `onnx_bytes`, and so the other arguments.
        path: The file.

    Returns:
        As of `largest_difference`, on random images; of several numbers of them where the batch is
        dynamic.

    Raises:
        UserError: If outputs differ by more than `TOLERANCE`; nothing is written then.
    """
    content = onnx_bytes(model, size, dynamic_batch, opset, notes)
    draw = torch.Generator().manual_seed(0)
    measured = [
        largest_difference(model, content, torch.randn(batch, 3, *size, generator=draw))
        for batch in ((1, 3) if dynamic_batch else (1,))
    ]
    difference, largest = (max(values) for values in zip(*measured, strict=True))
    if not difference <= TOLERANCE * max(1.0, largest):
        raise UserError(
            f'what ONNX Runtime computes differs from the model by {difference:.1e} where outputs '
            f'are up to {largest:.1e}, more than {TOLERANCE:.0e}; nothing was written: try another '
            '--opset'
        )
    path.write_bytes(content)
    return difference, largest
