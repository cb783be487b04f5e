"""A sample against what the model expects and its annotation says: size, channels, labels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor, nn

from mmtoken.runtime.bad_data.files import Fault


@dataclass(frozen=True)
class Expected:
    """What a model expects of a sample; None where it does not say.

    Args:
        labels: Classes of a classification head.
        mask_labels: Classes of a segmentation head.
        ignored: The label in a mask that stands for none.
        channels: Channels of an image.
    """

    labels: int | None = None
    mask_labels: int | None = None
    ignored: int = 255
    channels: int | None = None

    @classmethod
    def of(cls, model: nn.Module) -> 'Expected':
        """What a model expects.

        Args:
            model: The model, without wrappers.
        """
        head = _mask_head(model)
        mean = getattr(getattr(model, 'data_preprocessor', None), 'mean', None)
        several = isinstance(mean, Tensor) and mean.numel() > 1
        # A retriever is tested on classes that it was not trained on.
        trained = None if hasattr(model, 'prototype') else getattr(model, 'head', None)
        return cls(
            _whole(getattr(trained, 'num_classes', None)),
            _mask_labels(head, of_detector=not hasattr(model, 'decode_head')),
            getattr(head, 'ignore_index', 255),
            mean.numel() if several else None,
        )


def _mask_head(model: nn.Module) -> nn.Module | None:
    """The head of a segmentor, or that of a detector, which may have one, too."""
    for owner, name in (
        (model, 'decode_head'),
        (model, 'semantic_head'),
        (model, 'panoptic_head'),
        (getattr(model, 'roi_head', None), 'semantic_head'),
    ):
        head = getattr(owner, name, None)
        if head is not None:
            return head[-1] if isinstance(head, nn.ModuleList) else head
    return None


def _mask_labels(head: nn.Module | None, of_detector: bool) -> int | None:
    things, stuff = (getattr(head, f'num_{kind}_classes', None) for kind in ('things', 'stuff'))
    # A panoptic head may predict all things as one class, and maps have each. Of mmseg's heads
    # that derive from mmdet's these are defaults that say nothing.
    if of_detector and things is not None and stuff is not None:
        return things + stuff
    return _whole(getattr(head, 'num_classes', None))


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def label_fault(data: dict, classes: int | None) -> Fault | None:
    """A class label that a head does not have.

    Args:
        data: What the data set knows of a sample.
        classes: The head's classes; None where it does not say.
    """
    if classes is None or not isinstance(data.get('gt_label'), (int, list, np.ndarray, np.integer)):
        return None
    labels = np.atleast_1d(np.asarray(data['gt_label']))
    wrong = labels[(labels < 0) | (labels >= classes)] if labels.dtype.kind in 'iu' else []
    if len(wrong) == 0:
        return None
    number = data.get('sample_idx', '?')
    text = f'(sample {number}) has the label {wrong[0]}, and the head {classes} classes'
    return Fault('label out of range', text)


def size_fault(image: Any, size: tuple) -> Fault | None:
    """An image that is not of the size that its annotation says.

    Args:
        image: The image as it was loaded.
        size: Height and width of the annotation; None where it does not say.
    """
    if not isinstance(image, np.ndarray) or None in size or image.shape[:2] == tuple(size):
        return None
    height, width = image.shape[:2]
    text = f'is {width}x{height} pixels, and its annotation says {size[1]}x{size[0]}'
    if (width, height) == tuple(size):
        text += ' (the file asks to be turned; color_type of LoadImageFromFile decides)'
    return Fault('not as large as annotated', text)


def mask_fault(data: dict, expected: Expected) -> Fault | None:
    """A map of labels that is not as large as its image, or has a label that the head has not.

    Args:
        data: A sample whose map was just loaded.
        expected: What the model expects.
    """
    labels, shape = data['gt_seg_map'], data.get('ori_shape')
    if labels.ndim == 3 and labels.shape[2] in (3, 4):
        text = f'has {labels.shape[2]} channels, and a map of labels has one'
        return Fault('wrong channels', text)
    if labels.ndim != 2:  # a volume
        return None
    if shape is not None and labels.shape != tuple(shape[:2]):
        text = f'is {labels.shape[1]}x{labels.shape[0]} pixels, and its image {shape[1]}x{shape[0]}'
        return Fault('not as large as its image', text)
    classes, ignored = expected.mask_labels, expected.ignored
    if classes is None:
        return None
    wrong = (labels >= classes) & (labels != ignored)
    if not wrong.any():
        return None
    found = ', '.join(map(str, np.unique(labels[wrong])[:5]))
    text = f'has the labels {found}, and the head {classes} classes (and {ignored} for none)'
    return Fault('label out of range', text)


def depth_fault(path: str) -> Fault | None:
    """A map of 16 bits whose labels mmseg would cut to 8."""
    try:
        with Image.open(path) as image:
            if image.mode[0] not in 'IF':
                return None
            largest = np.asarray(image).max()
    except OSError:  # A format that Pillow does not know.
        return None
    if largest <= 255:
        return None
    return Fault('label out of range', f'has the label {largest}, and labels above 255 are cut')


def channel_fault(data: Any, channels: int | None, gray: bool) -> Fault | None:
    """An image that has not the channels that the model normalizes.

    Args:
        data: A sample as the pipeline leaves it.
        channels: The channels; None where the model does not say.
        gray: Whether the config asks for gray images, whose one channel then stands for all.
    """
    inputs = data.get('inputs') if isinstance(data, dict) else None
    if channels is None or not isinstance(inputs, Tensor) or inputs.ndim != 3:
        return None
    if len(inputs) == channels or (gray and len(inputs) == 1):
        return None
    text = f'has {len(inputs)} channels, and the model normalizes {channels}'
    return Fault('wrong channels', text)
