"""The page of the roll-out tool: what it shows of an image, and the file around it."""

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from mmengine.utils import to_2tuple
from PIL import Image
from torch import Tensor

from mmtoken.rollout import Capture, TokenSet, roll_back, token_rows
from mmtoken.rollout.overlay import image_of

TEMPLATE = Path(__file__).with_name('page.html')
# Bytes that the rows of all tokens at all depths may take; beyond, patches are pooled.
ROW_BYTES = 8_000_000


def image_entry(
    name: str,
    taken: Capture,
    classes: Sequence[TokenSet],
    instances: Sequence[TokenSet],
    names: Sequence[str],
) -> dict[str, Any]:
    """Everything that the page shows of an image, as JSON holds it.

    Args:
        name: Shown.
        taken: The model's prediction.
        classes: Token sets of classes to show.
        instances: Token sets of detected instances to show.
        names: Of all classes.

    Returns:
        The image as a data address, its grid, and the roll-outs up to every layer: of each token
        of the (pooled) grid, of the classes and of the instances, a byte a patch.
    """
    entered = taken.steps[0].tokens
    depths, (height, width) = taken.depth, entered.grid
    pool = 1
    while depths * (-(-height // pool) * -(-width // pool)) ** 2 > ROW_BYTES:
        pool += 1
    grid = -(-height // pool), -(-width // pool)
    sets = [*classes, *instances]
    tokens, maps = _roll_out(taken, sets, pool)
    picture = image_of(taken)

    def labelled(found: TokenSet, index: int) -> dict[str, Any]:
        name = names[found.label] if found.label < len(names) else str(found.label)
        entry = dict(name=str(name), maps=_encode(maps[:, index]))
        if found.box is not None:
            # In shares of the picture, which may be padded.
            tall, wide = taken.pixel_size(taken.sample.ori_shape)
            sides = (wide / picture.shape[1], tall / picture.shape[0]) * 2
            entry |= dict(score=round(found.score, 3))
            entry['box'] = [round(v * side, 4) for v, side in zip(found.box, sides, strict=True)]
        return entry

    entries = [labelled(found, index) for index, found in enumerate(sets)]
    return dict(
        name=name,
        picture=_data_address(picture),
        height=picture.shape[0],
        width=picture.shape[1],
        grid=grid,
        token=[taken.backbone.patch_size * pool] * 2,
        pool=pool,
        depths=depths,
        rows=_encode_rows(tokens),
        classes=entries[: len(classes)],
        instances=entries[len(classes) :],
    )


def write_page(path: Path, entries: Sequence[dict[str, Any]], title: str) -> None:
    """Write the page, one file that needs no other.

    Args:
        path: The file.
        entries: Images, from `image_entry`.
        title: Heads the page.
    """
    # '<' could end the script that the data stands in.
    data = json.dumps(dict(title=title, images=list(entries))).replace('<', '\\u003c')
    path.write_text(TEMPLATE.read_text('utf-8').replace('/*DATA*/null', data), 'utf-8')


def _roll_out(taken: Capture, sets: Sequence[TokenSet], pool: int) -> tuple[Tensor, Tensor]:
    """Up to every layer, where each token of the (pooled) grid and each token set looked.

    Where the backbone pools, a patch stands for the token that it has become part of.

    Returns:
        (L, H'·W', H', W') and (L, S, H', W').
    """
    entered = taken.steps[0].tokens
    count, aux, grid = entered.x.shape[1], entered.num_aux, entered.grid
    size = -(-grid[0] // pool) * -(-grid[1] // pool)
    layers = _layers(taken, sets)
    tokens = torch.zeros(len(layers), size, count)
    classes = torch.zeros(len(layers), len(sets), count)
    for places, columns in token_rows(taken.steps):
        for depth, layer in enumerate(layers):
            part = columns[layer.step]
            # (A + h·w, M) → (M, h, w) → (M, H, W)
            by_patch = part[aux:].T.unflatten(1, layer.grid)
            by_patch = by_patch[:, layer.rows][:, :, layer.columns]
            # → (M, H'·W')
            tokens[depth, :, places] = _pool(by_patch, pool).flatten(1).T.cpu()
            classes[depth, :, places] = (layer.weights @ part).cpu()
    return tuple(
        _pool(maps[..., aux:].flatten(0, 1).unflatten(1, grid), pool).unflatten(0, maps.shape[:2])
        for maps in (tokens, classes)
    )


@dataclass
class _Layer:
    """A layer in which tokens attended.

    Args:
        step: Which of the steps it is.
        grid: Of its tokens, (h, w).
        rows: The row of the token that each row of patches has become part of, (H).
        columns: Likewise, (W).
        weights: The token sets over its tokens, (S, A + h·w): those over the last layer's, taken
            back through the pooling between.
    """

    step: int
    grid: tuple[int, int]
    rows: Tensor
    columns: Tensor
    weights: Tensor


def _layers(taken: Capture, sets: Sequence[TokenSet]) -> list[_Layer]:
    entered, strides, layers = taken.steps[0].tokens, (1, 1), []
    weights = taken.left.x.new_zeros(len(sets), taken.left.x.shape[1])
    for index, found in enumerate(sets):
        weights[index] = found.weights
    for index, step in enumerate(taken.steps):
        if step.is_pool:
            pooled = to_2tuple(step.layer.stride)
            strides = tuple(a * b for a, b in zip(strides, pooled, strict=True))
            continue
        rows, columns = (
            torch.arange(side) // stride for side, stride in zip(entered.grid, strides, strict=True)
        )
        above = [later for later in taken.steps[index + 1 :] if later.is_pool]
        own = roll_back(above, weights) if above and sets else weights
        layers.append(_Layer(index, step.tokens.grid, rows, columns, own))
    return layers


def _pool(maps: Tensor, pool: int) -> Tensor:
    """Means of pool×pool patches, fewer at the borders: (S, H, W) → (S, H', W')."""
    if pool == 1 or not len(maps):
        return maps
    return F.avg_pool2d(maps[:, None], pool, ceil_mode=True, count_include_pad=False)[:, 0]


def _encode_rows(rows: Tensor) -> str:
    """As `_encode`, the scale of each row without the token itself, which outshines the rest."""
    flat = rows.flatten(2)
    others = flat * (1 - torch.eye(flat.shape[1]))
    return _encode(flat, others.amax(-1, keepdim=True))


def _encode(maps: Tensor, high: Tensor | None = None) -> str:
    """Bytes in base64, from 0 for no attention to 255 for the most in a map (or for `high`)."""
    flat = maps.flatten(1) if high is None else maps
    high = flat.amax(-1, keepdim=True) if high is None else high
    scaled = (flat / high.clamp(min=1e-12) * 255).round().clamp(0, 255).byte()
    return base64.b64encode(scaled.cpu().numpy().tobytes()).decode()


def _data_address(picture: Any) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, 'PNG', optimize=True)
    return 'data:image/png;base64,' + base64.b64encode(buffer.getvalue()).decode()
