"""Count a model's parameters, its multiply-accumulates and the tokens of each layer.

::

    python tools/analysis_tools/get_flops.py CONFIG
    python tools/analysis_tools/get_flops.py CONFIG --shape 512 512 --json costs.json

The MACs are those that papers state: one per multiplication of a matrix product or convolution,
attention's two products included, and fvcore's count for norms (5 per element, 2 for a batch norm
at test time). Nothing else counts, nor do mmcv's compiled operators. A two-stage detector's heads
are counted for the proposals of random weights.
"""

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmtoken.config_check.check import check_config
from mmtoken.errors import UserError, exit_on_user_error
from mmtoken.runtime.cli import add_config_arguments, load_config
from mmtoken.tokens import Tokens

import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

aten = torch.ops.aten


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument(
        '--shape',
        type=int,
        nargs='+',
        metavar='SIDE',
        help='image height and width, or one side; default: what the config tests at',
    )
    parser.add_argument(
        '--json',
        nargs='?',
        const='-',
        metavar='FILE',
        help='write the numbers as JSON to FILE, or print them in place of the tables',
    )
    return parser.parse_args(argv)


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
    """torch's counter, with fvcore's count of norms beside it."""

    def norm(shape: Sequence[int], *args: Any, out_shape: Any = None, **kwargs: Any) -> int:
        return 2 * 5 * math.prod(shape)

    def batch_norm(shape: Sequence[int], *args: Any, out_shape: Any = None, **kwargs: Any) -> int:
        return 2 * 2 * math.prod(shape)

    mapping = {
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


@exit_on_user_error
def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Count from the command line.

    Args:
        argv: The arguments; ``sys.argv`` by default.

    Returns:
        The numbers.
    """
    args = parse_args(argv)
    cfg = load_config(args.config, args.cfg_options)
    check_config(cfg, needs=('model', 'default_scope'))
    shape = image_shape(cfg, args.shape)
    if args.json not in (None, '-') and not Path(args.json).resolve().parent.is_dir():
        raise UserError(f'--json {args.json!r}: its folder does not exist; create it first')
    init_default_scope(cfg.default_scope)
    costs = {'config': args.config, 'shape': list(shape)}
    costs |= count_costs(MODELS.build(cfg.model), shape, cfg.default_scope)
    if args.json == '-':
        print(json.dumps(costs))
    else:
        for table in tables(costs):
            Console().print(table)
        if args.json:
            Path(args.json).write_text(json.dumps(costs, indent=2) + '\n')
    return costs


if __name__ == '__main__':
    main()
