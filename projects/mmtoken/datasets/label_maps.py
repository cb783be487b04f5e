"""From label maps, as they are stored, to a target for every patch of an augmented image.

A map is sparse: for each of Hs×Ws cells of the original image k values and the classes that they
are of. Values are logits of an annotator or shares of the cell's area. What augmentation did to an
image stands beside its map as one affine matrix, so that nothing is resampled before the batch is
on its device (our design; the released code crops maps one by one, with its axes exchanged).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from mmpretrain.structures import DataSample
from torch import Tensor

from mmtoken.errors import UserError


@dataclass(frozen=True)
class LabelMaps:
    """The label maps of a batch.

    Args:
        values: (B, k, Hs, Ws); unused places are 0.
        ids: Their classes, (B, k, Hs, Ws), whole numbers.
        source: (B, 2, 3), from places in the augmented image to those in the original one, x before
            y, both from 0 to 1 between the edges.
        kind: 'logit', softmaxed after sampling, where absent classes have 0; or 'share'.
        reach: (B, 2), how far patches reach to the right and down, in widths and heights of the
            augmented image: beyond 1 where it was padded. By default to its edges.
    """

    values: Tensor
    ids: Tensor
    source: Tensor
    kind: str
    reach: Tensor | None = None


def patch_targets(
    maps: LabelMaps, grid: tuple[int, int], num_classes: int, samples: int | None = None
) -> tuple[Tensor, Tensor]:
    """Target distributions of images and of their patches.

    A patch's is the mean over samples×samples points of it, each interpolated bilinearly between
    the centers of cells. Points that augmentation took from outside the image, and those of its
    padding, have no class: their logits are 0, and shares that are missing fall to the last class.
    All is computed in float32, under autocast too.

    Args:
        maps: The maps.
        grid: (H, W), the patches.
        num_classes: K′, of the targets.
        samples: Points along a side of a patch; by default as many as there are cells along it
            where an image is neither cropped nor enlarged, so that patches of the cells' size have
            the values of their own cells.

    Returns:
        (B, K′), of the mean over all patches, padding left out, and (B, H·W, K′); all sum to 1.
    """
    with torch.autocast(maps.values.device.type, enabled=False):
        return _targets(maps, grid, num_classes, samples)


def _targets(
    maps: LabelMaps, grid: tuple[int, int], num_classes: int, samples: int | None
) -> tuple[Tensor, Tensor]:
    batch, _, rows, columns = maps.values.shape
    samples = samples or max(-(-rows // grid[0]), -(-columns // grid[1]))
    # (B, k, Hs, Ws) → (B, K′, Hs·Ws)
    dense = maps.values.new_zeros(batch, num_classes, rows * columns, dtype=torch.float32)
    dense.scatter_add_(1, maps.ids.flatten(2).long(), maps.values.flatten(2).float())
    points, source = _points(grid, samples, maps.values.device), maps.source.float()
    if maps.reach is not None:
        # (B, 2, 3) · (B, 1, 3)
        source = source * F.pad(maps.reach, (0, 1), value=1.0).unsqueeze(1)
    places = torch.einsum('bij,hwj->bhwi', source, points)
    sampled = F.grid_sample(
        dense.unflatten(2, (rows, columns)),
        2 * places - 1,
        mode='bilinear',
        padding_mode='border',
        align_corners=False,
    )
    inside, shown = ((places >= 0) & (places <= 1)).all(dim=-1), 1.0
    if maps.reach is not None:
        framed = (points[..., :2] * maps.reach[:, None, None] <= 1).all(dim=-1)
        inside, shown = inside & framed, framed.float().mean(dim=(1, 2)).unsqueeze(1)
    # (B, K′, H·samples, W·samples) → (B, K′, H, W) → (B, H·W, K′)
    patches = F.avg_pool2d(sampled * inside.unsqueeze(1), samples).flatten(2).transpose(1, 2)
    image = patches.mean(dim=1) / shown
    return _distribution(image, maps.kind), _distribution(patches, maps.kind)


def maps_of(
    data_samples: list[DataSample], span: tuple[int, int] | None = None, remedy: str = ''
) -> LabelMaps:
    """The label maps that the samples of a batch bring.

    Args:
        data_samples: As `PackTokenLabels` packs them.
        span: Height and width in pixels that the patches cover, padding included; by default those
            of each image.
        remedy: What else can be done where one brings none, the end of a sentence.

    Raises:
        UserError: If one brings none, or they bring scores and shares.
    """
    missing = [sample for sample in data_samples if 'token_label' not in sample]
    if missing:
        raise UserError(
            f'{missing[0].get("img_path", "an image")} comes without a label map; have '
            f'LoadTokenLabels, TrackAffine and PackTokenLabels in the pipeline{remedy}'
        )
    first, *others = dict.fromkeys(sample.token_label_kind for sample in data_samples)
    if others:
        raise UserError(
            f'label maps of a batch are of the kinds {first!r} and {others[0]!r}; make those of '
            'all data sets from an annotator, or all from masks'
        )
    # Autocast would stack no float16 on a processor.
    with torch.autocast(data_samples[0].token_label.device.type, enabled=False):
        values, ids, source = (
            torch.stack([sample.get(name) for sample in data_samples])
            for name in ('token_label', 'token_label_ids', 'token_label_source')
        )
    return LabelMaps(values, ids, source, first, _reach(data_samples, span, source.device))


def _reach(
    data_samples: list[DataSample], span: tuple[int, int] | None, device: torch.device
) -> Tensor | None:
    """As `LabelMaps` has it; None where all images end with their patches."""
    if span is None:
        return None
    sizes = [sample.get('token_label_shape', span) for sample in data_samples]
    if all(tuple(size) == tuple(span) for size in sizes):
        return None
    return torch.tensor([[span[1] / width, span[0] / height] for height, width in sizes]).to(device)


def _points(grid: tuple[int, int], samples: int, device: torch.device) -> Tensor:
    """The points of all patches, from 0 to 1, (H·samples, W·samples, 3): x, y and 1."""
    y, x = ((torch.arange(side * samples, device=device) + 0.5) / (side * samples) for side in grid)
    return torch.stack(
        [x.expand(len(y), -1), y[:, None].expand(-1, len(x)), torch.ones_like(y[:, None] * x)],
        dim=-1,
    )


def _distribution(values: Tensor, kind: str) -> Tensor:
    if kind == 'logit':
        return values.softmax(dim=-1)
    missing = (1 - values.sum(dim=-1, keepdim=True)).clamp(min=0)
    return torch.cat([values[..., :-1], values[..., -1:] + missing], dim=-1)
