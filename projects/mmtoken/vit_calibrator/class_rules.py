"""What each class's decisions rest on, collected from the training images that a classifier is
surest of.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import all_gather_object, all_reduce, broadcast_object_list, get_dist_info
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor
from torch.utils.data import Dataset, SequentialSampler, Subset

from .calibrated_classifier import CalibratedClassifier
from .calibration_loss import RuleLoss

# Seconds between two lines about how far it is.
INTERVAL = 30


@dataclass(frozen=True)
class ClassMeans:
    """Means of the statistics that rules are made of.

    Args:
        means: Of each class's images, (K, D) by loss and layer.
        counts: Images of each class that they are of, (K,).
    """

    means: dict[str, dict[int, Tensor]]
    counts: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """As they are written to files."""
        flat = {
            f'{name}.{layer}': mean for name, layers in self.means.items()
            for layer, mean in layers.items()
        }  # fmt: skip
        return {**flat, 'counts': self.counts}

    @classmethod
    def of_tensors(cls, tensors: dict[str, Tensor]) -> ClassMeans:
        """As they were read from files."""
        means: dict[str, dict[int, Tensor]] = {}
        for key, mean in tensors.items():
            if key != 'counts':
                name, _, layer = key.rpartition('.')
                means.setdefault(name, {})[int(layer)] = mean
        return cls(means, tensors['counts'])


@dataclass(frozen=True)
class Collection:
    """How rules are collected.

    Args:
        dataset: Training images as they are tested, without augmentation.
        samples: Images of each class: the most confident of those that are classified correctly.
        batch_size: Images at once.
        num_workers: Processes that load them.
        say: Gets lines about how far it is.
        setting: What the weights do not say: model, preprocessing and images, as text.
    """

    dataset: Dataset
    samples: int
    batch_size: int
    num_workers: int
    say: Callable[[str], None]
    setting: str = ''


def collect_means(model: CalibratedClassifier, names: Sequence[str], how: Collection) -> ClassMeans:
    """Collect from a model as it is: the same on every process.

    How many there are changes batches, and with them, by rounding, which of two images that the
    model is as sure of comes first.

    Args:
        model: The classifier.
        names: Of its losses, `RuleLoss` each.
        how: How.
    """
    training = model.training
    model.eval()
    try:
        # Loaders draw seeds; training shall draw the same whether this was done before or not.
        with torch.random.fork_rng(devices=[]):
            labels, chosen = _choose(model, how)
            return _mean_statistics(model, names, how, labels, chosen)
    finally:
        model.train(training)


def collect_once(
    model: CalibratedClassifier, names: Sequence[str], how: Collection, folder: Path
) -> ClassMeans:
    """As `collect_means`, from a file where the same weights were asked the same before.

    Args:
        model: The classifier.
        names: Of its losses.
        how: How.
        folder: Where such files are.
    """
    file = folder / f'class_means_{_digest(model, names, how)}.pth'
    # The first process says whether there is a file, and what is in it.
    found = [None]
    if get_dist_info()[0] == 0 and file.is_file():
        found = [CheckpointLoader.load_checkpoint(str(file), 'cpu', logger='silent')]
    broadcast_object_list(found)
    device = next(model.parameters()).device
    if found[0] is not None:
        how.say(f'what classes rest on was collected before: {file}')
        return ClassMeans.of_tensors({key: t.to(device) for key, t in found[0].items()})
    means = collect_means(model, names, how)
    if get_dist_info()[0] == 0:
        folder.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix('.part')
        torch.save({key: t.cpu() for key, t in means.tensors().items()}, fresh)
        fresh.replace(file)
    return means


def _choose(model: CalibratedClassifier, how: Collection) -> tuple[np.ndarray, np.ndarray]:
    """Labels of all images, and the indices of the chosen ones, sorted."""
    rank, world = get_dist_info()
    mine = np.arange(rank, len(how.dataset), world)
    found = []
    for inputs, labels in _batches(model, how, mine, 'classifying'):
        with torch.no_grad():
            probabilities = model(inputs, mode='tensor').float().softmax(dim=1)
        confidence, guess = probabilities.max(dim=1)
        found.append(torch.stack([labels.double(), confidence.double(), (guess == labels)]).cpu())
    part = torch.cat(found, dim=1).numpy() if found else np.zeros((3, 0))
    parts = all_gather_object((mine, part))
    order = np.argsort(np.concatenate([indices for indices, _ in parts]), kind='stable')
    labels, confidence, right = np.concatenate([each for _, each in parts], axis=1)[:, order]
    labels, chosen = labels.astype(np.int64), []
    for label in range(model.head.num_classes):
        own = np.flatnonzero((labels == label) & (right > 0))
        chosen.append(own[np.argsort(-confidence[own], kind='stable')[: how.samples]])
    return labels, np.sort(np.concatenate(chosen))


def _mean_statistics(
    model: CalibratedClassifier,
    names: Sequence[str],
    how: Collection,
    labels: np.ndarray,
    chosen: np.ndarray,
) -> ClassMeans:
    rank, world = get_dist_info()
    losses: list[RuleLoss] = [model.calibration[name] for name in names]
    classes, device = model.head.num_classes, next(model.parameters()).device
    means = {
        name: {
            layer: torch.zeros(classes, width, dtype=torch.float64, device=device)
            for layer, width in loss.widths.items()
        }
        for name, loss in zip(names, losses, strict=True)
    }
    for inputs, own in _batches(model, how, chosen[rank::world], 'looking at'):
        for name, found in zip(names, model.statistics(inputs, own, losses), strict=True):
            for layer, statistic in found.items():
                means[name][layer].index_add_(0, own, statistic.double())
    counts = torch.from_numpy(np.bincount(labels[chosen], minlength=classes)).to(device)
    for layers in means.values():
        for layer, total in layers.items():
            all_reduce(total)
            layers[layer] = (total / counts.clamp(min=1)[:, None]).float()
    return ClassMeans(means, counts)


def _batches(
    model: CalibratedClassifier, how: Collection, indices: np.ndarray, doing: str
) -> Iterator[tuple[Tensor, Tensor]]:
    """Preprocessed images and their labels, with a line now and then of how far it is."""
    subset = Subset(how.dataset, indices.tolist())
    if not len(subset):
        return
    loader = Runner.build_dataloader(
        dict(
            dataset=subset,
            sampler=SequentialSampler(subset),
            batch_size=how.batch_size,
            num_workers=how.num_workers,
        )
    )
    start = said = time.monotonic()
    for index, data in enumerate(loader, start=1):
        data = model.data_preprocessor(data, False)
        labels = torch.cat([sample.gt_label for sample in data['data_samples']])
        yield data['inputs'], labels
        now = time.monotonic()
        if now - said > INTERVAL:
            said, left = now, (now - start) / index * (len(loader) - index)
            done = min(index * how.batch_size, len(subset))
            how.say(f'{doing} {done} of {len(subset)} images, {left:.0f} s left')


def _digest(model: CalibratedClassifier, names: Sequence[str], how: Collection) -> str:
    """Of the weights, and of what is asked of them."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    asked = [(name, type(loss).__name__, loss.layers) for name, loss in model.calibration.items()
             if name in names]  # fmt: skip
    images = len(how.dataset), repr(how.dataset), how.setting
    digest.update(repr((asked, how.samples, images)).encode())
    return digest.hexdigest()[:16]
