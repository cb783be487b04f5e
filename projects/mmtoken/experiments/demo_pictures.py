"""The demo's pictures: validation images beside their ground truth and the predictions."""

import contextlib
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import matplotlib

matplotlib.use('Agg')

import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle
from PIL import Image
from pycocotools import mask as rle
from pycocotools.coco import COCO

from mmtoken.runtime.predictions import read_predictions

# One color a digit; tab10's gray, the eighth, could not be told from the faded image.
COLORS = list(pyplot.get_cmap('tab10').colors)
COLORS[7] = (0.0, 0.0, 0.45)
Draw = Callable[[Axes], None]


def spread(total: int, count: int) -> list[int]:
    """Indices spread evenly over a data set, so that nobody chose the images shown.

    Args:
        total: Number of images.
        count: Number of indices.

    Returns:
        Sorted indices, fewer than ``count`` where there are not as many images.
    """
    return sorted({round(i) for i in np.linspace(0, total - 1, min(count, total))})


def classification_picture(predictions: Path, path: Path, count: int = 32) -> None:
    """Draw images with their true and predicted class.

    Args:
        predictions: What ``tools/test.py --out`` wrote for mmpretrain.
        path: The picture to write.
        count: Number of images.
    """
    samples = read_predictions(predictions)
    columns = 8
    chosen = [samples[index] for index in spread(len(samples), count)]
    rows = -(-len(chosen) // columns)
    figure, axes = pyplot.subplots(
        rows, columns, figsize=(1.5 * columns, 1.8 * rows), squeeze=False, layout='constrained'
    )
    for place in axes.flat:
        place.set_axis_off()
    for place, sample in zip(axes.flat, chosen, strict=False):
        true, said = int(sample['gt_label']), int(sample['pred_label'])
        place.imshow(Image.open(sample['img_path']))
        place.set_title(
            f'true {true}, said {said}\n{float(sample["pred_score"].max()):.0%}',
            fontsize=9,
            color='tab:green' if true == said else 'tab:red',
        )
    _save(figure, path)


def detection_picture(
    predictions: Path, annotations: Path, path: Path, count: int = 6, threshold: float = 0.5
) -> None:
    """Draw images beside true and predicted boxes and instance masks.

    Args:
        predictions: What ``tools/test.py --out`` wrote for mmdet.
        annotations: The COCO annotations of the same images.
        path: The picture to write.
        count: Number of images.
        threshold: Lowest score of a prediction that is drawn.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(annotations))
    category_ids = sorted(coco.cats)
    names = [coco.cats[index]['name'] for index in category_ids]
    samples, rows = read_predictions(predictions), []
    for sample in (samples[index] for index in spread(len(samples), count)):
        true = [
            (category_ids.index(ann['category_id']), _corners(ann['bbox']), coco.annToMask(ann), '')
            for ann in coco.imgToAnns[sample['img_id']]
        ]
        found = sample['pred_instances']
        said = [
            (int(label), [float(v) for v in box], rle.decode(mask), f' {float(score):.2f}')
            for label, box, mask, score in zip(
                found['labels'], found['bboxes'], found['masks'], found['scores'], strict=True
            )
            if score >= threshold
        ]
        image = np.array(Image.open(sample['img_path']))
        rows.append([_image(image), _instances(image, true, names), _instances(image, said, names)])
    _grid(rows, path)


def segmentation_picture(
    predictions: Path, annotations: Path, images: Path, path: Path, count: int = 6
) -> None:
    """Draw images beside true and predicted class maps; class 0 is the background.

    Args:
        predictions: Folder of label maps, which ``tools/test.py --out`` wrote for mmseg.
        annotations: Folder of true label maps of the same names.
        images: Folder of images of the same names.
        path: The picture to write.
        count: Number of images.
    """
    files = sorted(predictions.glob('*.png'))
    rows, classes = [], set()
    for file in (files[index] for index in spread(len(files), count)):
        image = np.array(Image.open(images / file.name))
        true, said = (
            np.array(Image.open(folder / file.name)) for folder in (annotations, predictions)
        )
        classes |= set(np.unique(true)) | set(np.unique(said))
        rows.append([_image(image), _class_map(image, true), _class_map(image, said)])
    legend = [Patch(color=COLORS[c - 1], label=str(c - 1)) for c in sorted(classes - {0})]
    _grid(rows, path, legend)


def _image(image: np.ndarray) -> Draw:
    return lambda axes: axes.imshow(image)


def _faded(axes: Axes, image: np.ndarray) -> None:
    """Draw an image in pale gray: the digits' own colors would mix with those of the classes."""
    axes.imshow(255 - (255 - image.mean(axis=-1)) * 0.6, cmap='gray', vmin=0, vmax=255)


def _class_map(image: np.ndarray, labels: np.ndarray) -> Draw:
    def draw(axes: Axes) -> None:
        _faded(axes, image)
        overlay = np.zeros((*labels.shape, 4))
        for label in set(np.unique(labels)) - {0}:
            overlay[labels == label] = (*COLORS[(label - 1) % len(COLORS)], 0.7)
        axes.imshow(overlay, interpolation='nearest')

    return draw


def _instances(
    image: np.ndarray,
    instances: Iterable[tuple[int, Sequence[float], np.ndarray, str]],
    names: Sequence[str],
) -> Draw:
    def draw(axes: Axes) -> None:
        _faded(axes, image)
        for label, (left, top, right, bottom), mask, note in instances:
            color = COLORS[label % len(COLORS)]
            overlay = np.zeros((*mask.shape, 4))
            overlay[mask > 0] = (*color, 0.6)
            axes.imshow(overlay, interpolation='nearest')
            axes.add_patch(
                Rectangle((left, top), right - left, bottom - top, fill=False, color=color, lw=1.2)
            )
            axes.text(
                left, top, names[label] + note, fontsize=6, color='white', va='bottom',
                bbox={'facecolor': color, 'edgecolor': 'none', 'pad': 0.6},
            )  # fmt: skip

    return draw


def _corners(box: Sequence[float]) -> list[float]:
    left, top, width, height = box
    return [left, top, left + width, top + height]


def _grid(rows: Sequence[Sequence[Draw]], path: Path, legend: Sequence[Patch] = ()) -> None:
    """Draw samples of three panels each, two samples beside each other."""
    titles = ('image', 'ground truth', 'prediction')
    lines, columns = -(-len(rows) // 2), 2 * len(titles)
    figure, axes = pyplot.subplots(
        lines, columns, figsize=(2.0 * columns, 2.15 * lines), squeeze=False, layout='constrained'
    )
    for place in axes.flat:
        place.set_axis_off()
    for index, panels in enumerate(rows):
        start = index % 2 * len(titles)
        for offset, (draw, title) in enumerate(zip(panels, titles, strict=True)):
            place = axes[index // 2][start + offset]
            draw(place)
            if index < 2:
                place.set_title(title, fontsize=9)
    if legend:
        figure.legend(handles=list(legend), loc='outside lower center', ncols=10, frameon=False)
    _save(figure, path)


def _save(figure: pyplot.Figure, path: Path) -> None:
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
