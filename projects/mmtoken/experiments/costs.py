"""What a model costs: parameters, multiply-accumulates and the tokens of each layer."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from rich.table import Table
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from mmtoken.errors import UserError
from mmtoken.tokens import Tokens

aten = torch.ops.aten


def image_shape(cfg: Config, shape: Sequence[int] | None) -> tuple[int, int]:
    """The image size to count at.

    Args:
        cfg: The config.
        shape: ``--shape``: nothing, one side, or height and width.

    Returns:
        Height and width, rounded up to what the model pads images to.

    Raises:
        UserError: If the shape is not one or two positive numbers.
    """
    if shape and (len(shape) > 2 or min(shape) < 1):
        raise UserError(f'--shape {" ".join(map(str, shape))} is not a side, or a height and width')
    preprocessor = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor') or {}
    size = shape or preprocessor.get('size') or _tested_size(cfg) or 224
    height, width = (size * 2)[:2] if isinstance(size, Sequence) else (size, size)
    divisor = preprocessor.get('pad_size_divisor') or 1
    return math.ceil(height / divisor) * divisor, math.ceil(width / divisor) * divisor


def _tested_size(cfg: Config) -> Any:
    """Height and width after the test pipeline, or what the position embedding is made for."""
    pipeline = ((cfg.get('test_dataloader') or {}).get('dataset') or {}).get('pipeline') or []
    for transform in reversed(pipeline):
        size = transform.get('crop_size') or transform.get('scale')
        if size:
            return tuple(reversed(size)) if isinstance(size, Sequence) else size
    return cfg.model.get('backbone', {}).get('img_size')


def count_costs(model: nn.Module, shape: tuple[int, int], scope: str) -> dict[str, Any]:
    """Run one image through a model and count.

    Args:
        model: A classifier, detector or segmentor.
        shape: Image height and width.
        scope: The library it is of; mmdet's two-stage detectors want to know the image's size.

    Returns:
        ``params``, ``macs``, ``parts`` (both, by direct child) and ``layers`` (tokens of each
        layer of the backbone; empty where it has no tokens).
    """
    model = revert_sync_batchnorm(model).eval()
    layers: list[dict[str, Any]] = []
    hooks = [
        layer.register_forward_hook(lambda _, __, out: layers.append(_tokens_of(out)))
        for layer in getattr(getattr(model, 'backbone', None), 'layers', ())
    ]
    images = torch.randn(1, 3, *shape, generator=torch.Generator().manual_seed(0))
    # The fused attention kernels are opaque to the counter; the plain one is two matrix products.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), _counter() as counter:
        model(images, _samples(shape, scope), mode='tensor')
    for hook in hooks:
        hook.remove()
    counts = counter.get_flop_counts()
    # The counter counts two operations per multiply-accumulate.
    macs = {name: sum(ops.values()) // 2 for name, ops in counts.items()}
    name = type(model).__name__
    parts = {
        part: {
            'params': sum(parameter.numel() for parameter in child.parameters()),
            'macs': _part_macs(child, f'{name}.{part}', macs),
        }
        for part, child in model.named_children()
    }
    return {
        'params': sum(parameter.numel() for parameter in model.parameters()),
        'macs': macs['Global'],
        'parts': {part: costs for part, costs in parts.items() if any(costs.values())},
        'layers': [layer for layer in layers if layer],
    }


def _part_macs(module: nn.Module, name: str, macs: dict[str, int]) -> int:
    """The MACs of a module, or of its children where its ``forward`` was called directly."""
    if name in macs:
        return macs[name]
    return sum(
        _part_macs(child, f'{name}.{child_name}', macs)
        for child_name, child in module.named_children()
    )


def _counter() -> FlopCounterMode:
    """torch's counter, with fvcore's count of norms beside it, and the sums over windows that
    convolutions of each place's own weights are.
    """

    def norm(shape: Sequence[int], *args: Any, out_shape: Any = None, **kwargs: Any) -> int:
        return 2 * 5 * math.prod(shape)

    def batch_norm(shape: Sequence[int], *args: Any, out_shape: Any = None, **kwargs: Any) -> int:
        return 2 * 2 * math.prod(shape)

    def weighted_sum(shape: Sequence[int], *args: Any, out_shape: Any = None, **kwargs: Any) -> int:
        return 2 * math.prod(shape)

    mapping = {
        aten.addcmul_: weighted_sum,
        aten.native_layer_norm: norm,
        aten.native_group_norm: norm,
        aten.native_batch_norm: batch_norm,
        aten._native_batch_norm_legit_no_training: batch_norm,
    }
    return FlopCounterMode(display=False, custom_mapping=mapping)


def _tokens_of(output: Any) -> dict[str, Any]:
    """The tokens that a layer gives on; empty where it gives something else."""
    if isinstance(output, Tokens):
        height, width = output.grid
        return {'aux': output.num_aux, 'grid': [height, width], 'tokens': output.x.shape[1]}
    if isinstance(output, Tensor) and output.ndim == 3:
        return {'aux': None, 'grid': None, 'tokens': output.shape[1]}
    return {}


def _samples(shape: tuple[int, int], scope: str) -> list | None:
    """What a detector is told about its image."""
    if scope != 'mmdet':
        return None
    from mmdet.structures import DetDataSample

    sizes = dict(img_shape=shape, ori_shape=shape, pad_shape=shape, batch_input_shape=shape)
    return [DetDataSample(metainfo=dict(**sizes, scale_factor=(1.0, 1.0)))]


def tables(costs: dict[str, Any]) -> list[Table]:
    """Lay the numbers out for the terminal."""
    height, width = costs['shape']
    summary = Table('part', title=f'one image of {height}x{width}')
    for column in ('params', 'MACs'):
        summary.add_column(column, justify='right')
    for part, part_costs in [*costs['parts'].items(), ('all', costs)]:
        params, macs = part_costs['params'] / 1e6, part_costs['macs'] / 1e9
        summary.add_row(part, f'{params:.2f} M', f'{macs:.2f} G')
    if not costs['layers']:
        return [summary]
    layers = Table('layer', 'tokens', 'grid', 'auxiliary', title='tokens after each layer')
    for index, layer in enumerate(costs['layers']):
        grid = 'x'.join(map(str, layer['grid'])) if layer['grid'] else '-'
        aux = '-' if layer['aux'] is None else str(layer['aux'])
        layers.add_row(str(index), str(layer['tokens']), grid, aux)
    return [summary, layers]
