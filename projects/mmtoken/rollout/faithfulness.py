"""How much of a class map falls on that class: roll-outs held against true masks (our design)."""

from collections.abc import Sequence

import torch
from mmengine.config import Config
from mmengine.registry import DATASETS
from mmengine.structures import BaseDataElement
from rich.progress import track
from torch import Tensor

from mmtoken.errors import UserError
from mmtoken.rollout import (
    Capture,
    TokenSet,
    capture,
    class_names,
    find_token_sets,
    roll_maps,
    token_areas,
    token_overlaps,
)
from mmtoken.runtime.load_model import load_model


def true_masks(sample: BaseDataElement, names: Sequence[str]) -> dict[int, Tensor]:
    """The true mask of every class in an image, (y, x) of the original image; no background.

    Args:
        sample: The annotations of a segmentation or detection data set.
        names: Of all classes.

    Raises:
        UserError: If the sample has no masks.
    """
    if 'gt_sem_seg' in sample:
        classes = sample.gt_sem_seg.data[0]
        found = {label: classes == label for label in classes.unique().tolist()}
        return {
            label: mask
            for label, mask in found.items()
            if label < len(names) and names[label] != 'background'
        }
    instances = sample.get('gt_instances', ())
    if 'masks' not in instances:
        raise UserError(
            'the data set has no masks to hold the maps against; use one of detection with masks, '
            'or of segmentation'
        )
    masks = torch.as_tensor(instances.masks.to_ndarray()).bool()
    return {
        label: masks[instances.labels == label].any(0)
        for label in instances.labels.unique().tolist()
    }


def covered_shares(taken: Capture, mask: Tensor, entered: bool) -> Tensor:
    """The share of every token that a mask covers, (H, W); of those that left or that entered."""
    rows, columns = token_overlaps(taken, tuple(mask.shape), entered)
    return rows @ mask.to(rows) @ columns.T / token_areas(taken, entered)


def mass_inside(rolled: Tensor, covered: Tensor) -> float:
    """The share of a map's mass that falls on what is covered; within a token, evenly spread."""
    return float((rolled * covered).sum() / rolled.sum())


def measure(taken: Capture, masks: dict[int, Tensor]) -> list[dict[str, float]]:
    """What falls into the true masks, of every class that is both there and predicted.

    The ordinary roll-out is that of the class token, or the mean over all patches without one: the
    same map for every class.
    """
    predicted = find_token_sets(taken).classes
    both = [predicted[label] for label in masks if label in predicted]
    if not both:
        return []
    tokens = taken.left
    everything = tokens.x.new_zeros(tokens.x.shape[1])
    everything[0 if tokens.num_aux else slice(None)] = 1
    ordinary = TokenSet(-1, everything / everything.sum())
    *maps, plain = roll_maps(taken, [*both, ordinary])
    rows = []
    for found, rolled in zip(both, maps, strict=True):
        mask = masks[found.label].to(rolled.device)
        covered = covered_shares(taken, mask, entered=True)
        own = found.weights[tokens.num_aux :].unflatten(0, tokens.grid)
        rows.append(
            dict(
                label=found.label,
                dense=mass_inside(rolled, covered),
                ordinary=mass_inside(plain, covered),
                chance=float(mask.float().mean()),
                prediction=mass_inside(own, covered_shares(taken, mask, entered=False)),
            )
        )
    return rows


def measure_dataset(cfg: Config, checkpoint: str, number: int) -> list[list[dict[str, float]]]:
    """`measure` on the first images of a config's validation data."""
    model = load_model(cfg, checkpoint)
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    found = []
    for index in track(range(min(number, len(dataset))), description='rolling out'):
        packed = dataset[index]
        data = {name: [packed[name]] for name in ('inputs', 'data_samples')}
        masks = true_masks(packed['data_samples'], class_names(model))
        found.append(measure(capture(model, data), masks))
    return found
