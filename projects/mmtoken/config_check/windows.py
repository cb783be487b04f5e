"""Windows that do not divide the patches of the training images: each layer pads them, and computes
what it drops.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from mmengine.utils import to_2tuple

from mmtoken.config_check.parts import dict_at, find_parts, text_at
from mmtoken.config_check.problem import Problem
from mmtoken.config_check.trial import try_build
from mmtoken.vit import TokenViT

# Height and width, or one side.
Size = tuple[int, ...]
# Transforms of the three libraries after which images are as large as an argument says, or, where
# they are cropped, padded to it as a rule.
_SIZED = {
    'Resize': 'scale',
    'RandomResizedCrop': 'scale',
    'CenterCrop': 'crop_size',
    'RandomCrop': 'crop_size',
    'Pad': 'size',
}
# Those after which they may be of any size.
_VARYING = ('RandomResize', 'RandomChoiceResize', 'RandomChoice', 'ResizeEdge')


def window_problems(content: dict, scope: str) -> Iterator[Problem]:
    """Find plain backbones whose windows do not divide the patches of the training images.

    Pyramids are not looked at: their weights are those of one window size.

    Args:
        content: The config.
        scope: Its default scope.

    Yields:
        One warning for each.
    """
    size = training_size(content)
    for part in find_parts(content, scope, 'model') if size else ():
        node = dict_at(part.node, 'backbone')
        if not (node.get('window_size') or dict_at(node, 'module').get('window_size')):
            continue
        backbone = try_build(node, part.scopes[0])
        backbone = getattr(backbone, 'module', backbone)
        if isinstance(backbone, TokenViT):
            yield from _of_backbone(f'{part}.backbone', backbone, size)


def training_size(content: dict) -> Size | None:
    """How large the training images are, as far as the config says it.

    Args:
        content: The config.

    Returns:
        Height and width in pixels; of images that keep their ratio the shorter side alone, which
        most of them have in common; None where the size varies, or is not known.
    """
    model = dict_at(content, 'model')
    preprocessor = dict_at(model, 'data_preprocessor') or dict_at(content, 'data_preprocessor')
    for cfg in (preprocessor, *_dicts(preprocessor.get('batch_augments'))):
        if _is_size(cfg.get('size')):
            return to_2tuple(cfg['size'])
    dataset = dict_at(content, 'train_dataloader', 'dataset')
    while dict_at(dataset, 'dataset'):
        dataset = dict_at(dataset, 'dataset')
    size = None
    for step in _dicts(dataset.get('pipeline')):
        kind = text_at(step, 'type').rpartition('.')[2]
        given = step.get(_SIZED.get(kind, ''))
        if kind in _VARYING:
            size = None
        elif _is_size(given):
            width, height = to_2tuple(given)
            size = (min(width, height),) if step.get('keep_ratio') else (height, width)
    divisor = preprocessor.get('pad_size_divisor') or 1
    return size and tuple(math.ceil(side / divisor) * divisor for side in size)


def _of_backbone(place: str, backbone: TokenViT, size: Size) -> Iterator[Problem]:
    """Hold the windows of all layers against their grids."""
    found = list(_windowed(backbone, size))
    window, grid = next(
        ((window, grid) for window, grid in found if any(side % window for side in grid)), (0, ())
    )
    if not window:
        return
    filled = tuple(math.ceil(side / window) * window for side in grid)
    more = math.prod(filled) / math.prod(grid) - 1
    fitting = [
        number
        for number in range(max(2, window // 2), 2 * window + 1)
        if not any(side % number for _, grid in found for side in grid)
    ]
    nearest = min(fitting, key=lambda number: abs(number - window), default=None)
    remedy = (
        f'{", ".join(map(str, fitting))} would fit: set {place}.window_size={nearest}'
        if fitting
        else f'none from {window // 2} to {2 * window} would fit: choose another image size'
    )
    yield Problem(
        f'{place}.window_size {window} pads the {_text(grid)} patches of {_text(size)} px to '
        f'{_text(filled)}, {more:.0%} more to compute; {remedy}',
        certain=False,
    )


def _windowed(backbone: TokenViT, size: Size) -> Iterator[tuple[int, Size]]:
    """The window and the grid of each layer that has windows."""
    grid = tuple(math.ceil(side / backbone.patch_size) for side in (size * 2)[:2])
    for pool, layer in backbone.steps():
        grid = pool.pooled_grid(grid) if pool is not None else grid
        # Of windows larger than the grid, there is one.
        if 0 < layer.attn.window_size < max(grid):
            yield layer.attn.window_size, grid[: len(size)]


def _text(sides: Size) -> str:
    return 'x'.join(map(str, sides))


def _dicts(steps: Any) -> list[dict]:
    return [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []


def _is_size(value: Any) -> bool:
    sides = value if isinstance(value, Sequence) and len(value) == 2 else (value,)
    return all(isinstance(side, int) and side > 0 for side in sides)
