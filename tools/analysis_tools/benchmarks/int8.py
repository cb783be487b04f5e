"""DeiT-T and LIFE on a CPU: in torch, in ONNX Runtime, and there in eight bits, with weights of
int8 and activations that are rounded as they come (dynamic quantization)."""

import tempfile
from functools import cache, partial
from pathlib import Path

from mmtoken.deployment.exported import Exported, fold_position
from mmtoken.deployment.onnx_file import onnx_bytes, require_onnx
from mmtoken.experiments.benchmark_models import build_classifier
from mmtoken.experiments.benchmark_rows import Preset, Ratio, Row

import torch
from torch import Tensor, nn

ARCH = 'deit-tiny'
KINDS = {'DeiT-T': 'TokenViT', 'LIFE-DeiT-T': 'LIFEViT'}


def build_torch(kind: str, img_size: int) -> nn.Module:
    """A classifier of random weights, the same at each call.

    Args:
        kind: Its backbone.
        img_size: Height and width in pixels.
    """
    torch.manual_seed(0)
    model = build_classifier(dict(type=kind, arch=ARCH, patch_size=16), img_size).eval()
    fold_position(model.backbone, (img_size, img_size))
    return Exported(model, 'classifier')


class InRuntime(nn.Module):
    """A graph in ONNX Runtime, on as many threads as torch has.

    Args:
        content: The graph.
    """

    def __init__(self, content: bytes) -> None:
        import onnxruntime

        super().__init__()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.session = onnxruntime.InferenceSession(
            content, options, providers=['CPUExecutionProvider']
        )

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Scores, (B, K)."""
        return tuple(map(torch.from_numpy, self.session.run(None, {'images': images.numpy()})))


@cache
def graph(kind: str, img_size: int) -> bytes:
    """The classifier's graph, of any batch.

    Raises:
        UserError: If a package is missing.
    """
    require_onnx()
    return onnx_bytes(build_torch(kind, img_size), (img_size, img_size), dynamic_batch=True)


@cache
def quantized(kind: str, img_size: int) -> bytes:
    """The same, its matrix products in eight bits."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'int8.onnx')
        # Convolutions stay: LIFE's, in eight bits, made it twice as slow as it was in float32. A
        # range of seven bits for the weights: in eight, sums overflow on CPUs without VNNI.
        quantize_dynamic(
            onnx.load_from_string(graph(kind, img_size)),
            path,
            op_types_to_quantize=['MatMul', 'Gemm'],
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
        )
        return path.read_bytes()


def build_float(kind: str, img_size: int) -> nn.Module:
    """The classifier in ONNX Runtime."""
    return InRuntime(graph(kind, img_size))


def build_int8(kind: str, img_size: int) -> nn.Module:
    """The classifier in ONNX Runtime, in eight bits."""
    return InRuntime(quantized(kind, img_size))


@torch.no_grad()
def largest_error(kind: str, img_size: int) -> str:
    """By how much scores in eight bits differ."""
    images = torch.randn(4, 3, img_size, img_size, generator=torch.Generator().manual_seed(1))
    (exact,), (found,) = (make(kind, img_size)(images) for make in (build_torch, build_int8))
    return (
        f'scores of random weights differ by {(found - exact).abs().max():.1e} at most from those '
        f'of float32, which are up to {exact.abs().max():.1e}'
    )


def total(model: nn.Module, images: Tensor) -> Tensor:
    """The sum of the scores."""
    return model(images)[0].sum()


def _rows(name: str, kind: str) -> list[Row]:
    return [
        Row(f'{name}, torch', partial(build_torch, kind), total),
        Row(f'{name}, ONNX Runtime', partial(build_float, kind), total),
        Row(f'{name}, int8', partial(build_int8, kind), total, partial(largest_error, kind)),
    ]


PRESET = Preset(
    title='DeiT-T and LIFE-DeiT-T, their matrix products in float32 and in eight bits',
    rows=[row for name, kind in KINDS.items() for row in _rows(name, kind)],
    ratios=[
        Ratio(f'{name}, int8', f'{name}, {base}')
        for name in KINDS
        for base in ('ONNX Runtime', 'torch')
    ],
    cases=[(224, 1), (224, 8)],
    modes=('infer',),
    # Its memory is not torch's.
    memory=False,
)
