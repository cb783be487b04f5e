"""What a classifier's decisions rest on, measured and drawn: before a calibration and after it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from mmpretrain.models import ImageClassifier
from torch import Tensor, nn

from .calibrated_classifier import labels_of
from .evidence import Place, evidence_of, run_watched
from .foreground import last_informative_layer, patch_relevance, scores_of


@dataclass(frozen=True)
class Decisions:
    """What the decisions of a classifier rest on, over some images.

    Args:
        accuracy: Share of the images that are classified correctly.
        shares: The foreground's share of the relevance of patches that leave each layer, up to the
            last whose patches matter; of images whose foreground is known.
        dimensions: Relevance of the last layer's dimensions, (K, D), the largest of each image 1,
            mean over each class's images; nan where there are none.
        images: The first images, (n, 3, height, width), as the network gets them.
        maps: Where the relevance of their true classes comes from, (n, H, W).
    """

    accuracy: float
    shares: list[float]
    dimensions: Tensor
    images: Tensor
    maps: Tensor


def measure_decisions(
    model: ImageClassifier, batches: Iterable[dict], foreground: nn.Module, shown: int
) -> Decisions:
    """Measure a classifier.

    Args:
        model: With a backbone of the `TokenViT` family, in evaluation mode.
        batches: What its data loader yields, images and labels, in any number.
        foreground: Says where it is, as `SuppliedForeground` does.
        shown: Images to keep.
    """
    backbone, last = model.backbone, last_informative_layer(model.backbone)
    places = [Place('tokens', layer) for layer in range(backbone.num_running)]
    inside, known = torch.zeros(last + 1), torch.zeros(last + 1)
    right = count = 0
    sums = hits = None
    images: list[Tensor] = []
    maps: list[Tensor] = []
    for data in batches:
        data = model.data_preprocessor(data, False)
        inputs, samples = data['inputs'], data['data_samples']
        labels = labels_of(samples)
        with torch.no_grad():
            tokens = backbone.embed(inputs)
        grid = tokens.grid
        seen = foreground(inputs, samples, labels, grid, backbone.patch_size)
        with torch.enable_grad():
            left, kept = run_watched(backbone, tokens, 0, places, False)
            scores = scores_of(model, left)
            chosen = scores.gather(1, labels[:, None]).squeeze(1)
            evidence = evidence_of(chosen, kept, places, tokens.num_aux, differentiable=False)
        for layer in range(last + 1):
            found = evidence.relevance(places[layer])[:, tokens.num_aux :].sum(dim=2)
            total = found.sum(dim=1)
            share = (found * seen.at(backbone, grid, layer)).sum(dim=1) / total
            counted = seen.known & (total > 0)
            inside[layer] += share[counted].detach().sum().cpu()
            known[layer] += counted.sum().cpu()
        right += int((scores.argmax(dim=1) == labels).sum())
        count += len(labels)
        summed = evidence.relevance(places[-1]).sum(dim=1)
        summed = summed / summed.amax(dim=1, keepdim=True).clamp(min=1e-12)
        if sums is None:
            sums = summed.new_zeros(scores.shape[1], summed.shape[1])
            hits = summed.new_zeros(scores.shape[1])
        sums.index_add_(0, labels, summed.detach())
        hits.index_add_(0, labels, torch.ones_like(labels, dtype=hits.dtype))
        if len(images) < shown:
            relevance, _ = patch_relevance(model, inputs, labels)
            maps += [*relevance.unflatten(1, grid).cpu()]
            images += [*inputs.cpu()]
    return Decisions(
        right / max(count, 1),
        (inside / known).tolist() if known.all() else [],
        (sums / hits[:, None]).cpu(),
        torch.stack(images[:shown]),
        torch.stack(maps[:shown]),
    )


def plot_decisions(
    found: dict[str, Decisions], classes: Sequence[str], title: str, path: Path
) -> None:
    """Draw decisions beside each other.

    Args:
        found: By name, over the same images.
        classes: Names of the classes.
        title: Over the picture.
        path: The picture.
    """
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    names, some = list(found), next(iter(found.values()))
    columns = max(len(some.images), 6)
    rows = 1 + len(names)
    width = max(1.5 * columns, 3.5 + 2.5 * len(names))
    figure = pyplot.figure(figsize=(width, 3.4 + 1.6 * rows), layout='constrained')
    upper, lower = figure.subfigures(2, 1, height_ratios=[3.4, 1.6 * rows])
    panels = upper.subplots(1, 1 + len(names), width_ratios=[1.2] + [1] * len(names), squeeze=False)
    _plot_shares(panels[0][0], found)
    order = _order_of([found[name].dimensions for name in names])
    largest = max(float(d.dimensions.nan_to_num().max()) for d in found.values())
    for panel, name in zip(panels[0][1:], names, strict=True):
        image = panel.imshow(
            found[name].dimensions[:, order],
            aspect='auto',
            interpolation='nearest',
            vmin=0,
            vmax=largest,
            cmap='magma',
        )
        panel.set_title(name, fontsize=9)
        panel.set_xlabel('dimension')
        few = len(classes) <= 20
        panel.set_yticks(range(len(classes)) if few else [], classes if few else [])
    panels[0][1].set_ylabel('class')
    label = 'relevance in the last layer\n(dimensions sorted by class\nas in the first matrix)'
    upper.colorbar(image, ax=panels[0][-1], label=label)
    pictures = _pictures(some.images)
    axes = lower.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for column, picture in enumerate(pictures):
        axes[0][column].imshow(picture)
        for row, name in enumerate(names, start=1):
            weights = found[name].maps[column]
            size = picture.shape[:2]
            heat = F.interpolate(weights[None, None], size, mode='bilinear')[0, 0]
            axes[row][column].imshow(picture.mean(axis=2), cmap='gray', vmin=0, vmax=1)
            axes[row][column].imshow(heat / heat.max().clamp(min=1e-12), cmap='jet', alpha=0.5)
    for row, label in enumerate(['image', *names]):
        axes[row][0].set_title(label, loc='left', fontsize=9)
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _plot_shares(panel, found: dict[str, Decisions]) -> None:
    """The foreground's share of the relevance, layer by layer."""
    for name, decisions in found.items():
        label = f'{name}, {100 * decisions.accuracy:.1f} % right'
        panel.plot(range(len(decisions.shares)), decisions.shares, marker='o', label=label)
    panel.set_xticks(range(max(len(decisions.shares) for decisions in found.values())))
    panel.set_xlabel('layer')
    panel.set_ylabel("foreground's share of the relevance")
    panel.set_ylim(0, 1)
    panel.grid(alpha=0.3)
    panel.legend(fontsize=7)


def _order_of(matrices: Sequence[Tensor]) -> Tensor:
    """One order of dimensions for all matrices (K, D): by the class that each matters most to in
    the first, the most relevant first, so that what classes share stands out of the diagonal.
    """
    relevance, classes = matrices[0].nan_to_num().max(dim=0)
    by_relevance = relevance.argsort(descending=True, stable=True)
    return by_relevance[classes[by_relevance].argsort(stable=True)]


def _pictures(images: Tensor):
    """(n, height, width, 3), from 0 to 1: normalized images, each stretched to what it has."""
    low, high = (images.amin(dim=(1, 2, 3), keepdim=True), images.amax(dim=(1, 2, 3), keepdim=True))
    return ((images - low) / (high - low)).permute(0, 2, 3, 1).numpy()
