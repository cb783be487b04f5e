"""What a data loader yields, of any of the three libraries, as pictures."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import DATASETS
from mmengine.structures import BaseDataElement
from mmengine.visualization import Visualizer

PAINTERS = {
    'mmpretrain': dict(type='mmpretrain.UniversalVisualizer'),
    'mmdet': dict(type='mmdet.DetLocalVisualizer'),
    'mmseg': dict(type='mmseg.SegLocalVisualizer', alpha=0.5),
}
# Smaller images are enlarged by a whole factor, so that what is written on them can be read.
MIN_SIDE = 320


def build_dataset(cfg: Config, loader: str, mode: str) -> Any:
    """Build the dataset of a data loader.

    Args:
        cfg: The config; it stays as it is.
        loader: 'train_dataloader', 'val_dataloader' or 'test_dataloader'.
        mode: 'transformed', or 'original' to leave out all transforms but loading and packing.

    Returns:
        The dataset, of whichever library.
    """
    content = ConfigDict(cfg[loader].dataset.to_dict())
    if mode == 'original':
        for node in _nodes(content):
            if 'pipeline' in node:
                node.pipeline = [
                    step
                    for step in node.pipeline
                    if str(step.get('type')).split('.')[-1].startswith(('Load', 'Pack'))
                ]
    return DATASETS.build(content)


def _nodes(node: Any) -> Iterator[ConfigDict]:
    """All dicts at and below a node of a config: datasets may wrap datasets."""
    if isinstance(node, dict):
        yield node
        for child in node.values():
            yield from _nodes(child)
    elif isinstance(node, (list, tuple)):
        for child in node:
            yield from _nodes(child)


def reads_bgr(cfg: Config) -> bool:
    """Whether the pipeline yields BGR images, which the data preprocessor then turns to RGB."""
    model = cfg.get('model') or {}
    settings = model.get('data_preprocessor') or cfg.get('data_preprocessor') or {}
    return settings.get('to_rgb', settings.get('bgr_to_rgb', True))


def to_image(inputs: torch.Tensor, bgr: bool) -> np.ndarray:
    """The pixels that a pipeline packed, as visualizers take them.

    Args:
        inputs: (3, H, W) or (1, H, W), 0 to 255.
        bgr: Whether the channels are blue, green, red.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    image = inputs.permute(1, 2, 0).round().clamp(0, 255).byte().numpy()
    image = np.broadcast_to(image, (*image.shape[:2], 3))
    return np.ascontiguousarray(image[..., ::-1] if bgr else image)


def enlarge(image: np.ndarray, sample: BaseDataElement) -> np.ndarray:
    """Repeat the pixels of a small image, and of its annotations, to be able to read labels on it.

    Args:
        image: (H, W, 3).
        sample: The annotations, changed in place to plain arrays and tensors.

    Returns:
        (k * H, k * W, 3) for a whole k, so that no pixel is blended with another.
    """
    factor = -(-MIN_SIDE // min(image.shape[:2]))
    if 'gt_instances' in sample:
        instances = sample.gt_instances
        if 'bboxes' in instances:
            boxes = instances.bboxes
            instances.bboxes = getattr(boxes, 'tensor', boxes) * factor
        if 'masks' in instances:
            masks = instances.masks
            masks = masks.to_ndarray() if hasattr(masks, 'to_ndarray') else np.asarray(masks)
            instances.masks = masks.repeat(factor, 1).repeat(factor, 2).astype(bool)
    if 'gt_sem_seg' in sample:
        classes = sample.gt_sem_seg.data  # (1, H, W)
        classes = classes.repeat_interleave(factor, 1).repeat_interleave(factor, 2)
        sample.set_field(type(sample.gt_sem_seg)(data=classes), 'gt_sem_seg')
    return image.repeat(factor, 0).repeat(factor, 1)


def paint(visualizer: Visualizer, image: np.ndarray, sample: BaseDataElement, path: Path) -> None:
    """Write one picture.

    Args:
        visualizer: The library's own.
        image: (H, W, 3) uint8 RGB.
        sample: What is known of the image.
        path: The picture.
    """
    with warnings.catch_warnings():
        # A box that reaches the image's border is called out of bounds.
        warnings.filterwarnings('ignore', message='.*out of bounds')
        if hasattr(visualizer, 'visualize_cls'):
            visualizer.visualize_cls(image, sample, draw_pred=False, out_file=str(path))
        else:
            visualizer.add_datasample(path.stem, image, sample, draw_pred=False, out_file=str(path))
