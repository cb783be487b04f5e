"""Where every place of an augmented image was in the original one.

Transforms of images do not say what they did. Those that move pixels are affine here, so one matrix
remembers any number of them, and what is known of the original, such as a label map, need be
resampled only once (our design).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from mmcv.transforms import BaseTransform, Compose
from mmpretrain.registry import TRANSFORMS

from mmtoken.errors import UserError

KEY = 'affine_source'

# Random methods whose draws say what a transform does.
_DRAWS = ('rand_crop_params', 'random_negative')
# They change colors, and leave every pixel in its place.
_IN_PLACE = {
    'AutoContrast', 'Brightness', 'ColorJitter', 'ColorTransform', 'Contrast', 'Cutout', 'Equalize',
    'GaussianBlur', 'Invert', 'Lighting', 'Posterize', 'RandomErasing', 'RandomGrayscale',
    'Sharpness', 'Solarize', 'SolarizeAdd',
}  # fmt: skip


# Places are shares of height and width, which resizing leaves as they are.
_SCALES = {'Resize', 'ResizeEdge'}
_OF_OTHERS = {'AutoAugment', 'RandAugment', 'EfficientNetCenterCrop', 'EfficientNetRandomCrop'}


def moves_places(name: str) -> bool:
    """Whether a transform moves what an image shows, so that it belongs into `TrackAffine`.

    Args:
        name: Of its type, without scope.
    """
    return name in _OF_OTHERS or name in _WAYS and name not in _SCALES


@TRANSFORMS.register_module()
class TrackAffine(BaseTransform):
    """Apply transforms and remember where each place of the image was.

    Args:
        transforms: A pipeline of transforms of mmcv and mmpretrain: RandomFlip, RandomResizedCrop,
            EfficientNetRandomCrop, RandomCrop, CenterCrop, Resize, ResizeEdge, Pad, RandAugment,
            AutoAugment with all that they draw from, and those that change colors alone.

    Adds `affine_source` (2, 3), from places (x, y) in the new image to places in the one that
    entered, both from 0 to 1 between the edges; or extends it where it is there.

    Raises:
        UserError: If a transform is none of these, so that nothing is known of its way.
    """

    def __init__(self, transforms: Sequence[dict | Callable]) -> None:
        self.pipeline = Compose(
            [TRANSFORMS.build(t) if isinstance(t, dict) else t for t in transforms]
        )
        self.pipeline.transforms = [_tracked(t) for t in self.pipeline.transforms]

    def transform(self, results: dict) -> dict | None:
        """Apply the transforms.

        Args:
            results: Of the pipeline, with 'img'.

        Returns:
            The results of the transforms, with `affine_source`.
        """
        results.setdefault(KEY, np.eye(2, 3))
        return self.pipeline(results)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(transforms={self.pipeline})'


def _tracked(transform: Any) -> Any:
    """The transform, or the leaves of a transform of transforms, each tracked."""
    inner = getattr(transform, 'transforms', None)
    if inner is None:
        return _Tracked(transform)
    if isinstance(inner, Compose):
        inner.transforms = [_tracked(t) for t in inner.transforms]
    else:
        transform.transforms = [
            [_tracked(t) for t in entry] if isinstance(entry, list) else _tracked(entry)
            for entry in inner
        ]
    return transform


class _Recorder:
    """A random method of a transform that remembers what it drew.

    Args:
        transform: The transform.
        name: The method's, as its class has it: bound ones of mmcv cannot be pickled.
    """

    def __init__(self, transform: Any, name: str) -> None:
        self.transform, self.name = transform, name
        self.drawn: Any = None

    def __call__(self, *args: Any) -> Any:
        kind = type(self.transform)
        method = inspect.getattr_static(kind, self.name).__get__(self.transform, kind)
        self.drawn = method(*args)
        return self.drawn


class _Tracked:
    """A transform that extends `affine_source` by what it does.

    Args:
        transform: No transform of transforms.
    """

    def __init__(self, transform: Any) -> None:
        self.transform = transform
        kinds = [kind.__name__ for kind in type(transform).__mro__]
        self.way = next((_WAYS[kind] for kind in kinds if kind in _WAYS), None)
        if self.way is None and not _IN_PLACE.intersection(kinds):
            raise UserError(
                f'{kinds[0]} in TrackAffine may move pixels in a way that it does not know; put '
                f'it outside where it cannot, or use one of {", ".join(sorted(_WAYS))}'
            )
        for name in _DRAWS:
            if hasattr(transform, name):
                setattr(transform, name, _Recorder(transform, name))

    def __call__(self, results: dict) -> dict | None:
        before = results['img']
        results = self.transform(results)
        # Where chance decides against a transform, it returns the very image.
        if results is None or self.way is None or results['img'] is before:
            return results
        old, new = before.shape[:2], results['img'].shape[:2]
        # Places new → pixels new → pixels old → places old.
        step = _scaling(1 / old[1], 1 / old[0]) @ self.way(self.transform, old, new, results)
        step = step @ _scaling(new[1], new[0])
        results[KEY] = results[KEY] @ step
        return results

    def __repr__(self) -> str:
        return repr(self.transform)


def _scaling(x: float, y: float) -> np.ndarray:
    return np.diag([x, y, 1.0])


def _shift(x: float, y: float) -> np.ndarray:
    return np.array([[1.0, 0, x], [0, 1, y], [0, 0, 1]])


# Each gives the matrix (3, 3) from pixels of the new image to pixels of the old one, a pixel from
# its number to the next, of sizes `old` and `new` (height, width).


def _flip(transform: Any, old: tuple, new: tuple, results: dict) -> np.ndarray:
    if not results['flip']:
        return np.eye(3)
    height, width = old
    direction = results['flip_direction']
    across, down = direction != 'vertical', direction != 'horizontal'
    return np.array(
        [
            [-1.0 if across else 1.0, 0, width if across else 0],
            [0, -1.0 if down else 1.0, height if down else 0],
            [0, 0, 1],
        ]
    )


def _resized_crop(transform: Any, old: tuple, new: tuple, results: dict) -> np.ndarray:
    top, left, height, width = transform.rand_crop_params.drawn
    return _shift(left, top) @ _scaling(width / new[1], height / new[0])


def _crop(transform: Any, old: tuple, new: tuple, results: dict) -> np.ndarray:
    top, left, _, _ = transform.rand_crop_params.drawn
    pad_left = pad_top = 0
    if transform.padding is not None:
        padding = transform.padding
        pad_left, pad_top = (padding, padding) if isinstance(padding, int) else padding[:2]
    if transform.pad_if_needed:
        # As the transform computes it, from the size that it has by then.
        padded = (
            old[0] + _both(transform.padding, 1),
            old[1] + _both(transform.padding, 0),
        )
        pad_top += -(-max(0, transform.crop_size[0] - padded[0]) // 2)
        pad_left += -(-max(0, transform.crop_size[1] - padded[1]) // 2)
    return _shift(left - pad_left, top - pad_top)


def _both(padding: Any, axis: int) -> int:
    """What a padding adds on both sides of the axis, 0 the columns."""
    if padding is None:
        return 0
    if isinstance(padding, int):
        return 2 * padding
    return padding[axis] + padding[axis + 2 if len(padding) == 4 else axis]


def _center_crop(transform: Any, old: tuple, new: tuple, results: dict) -> np.ndarray:
    width, height = transform.crop_size
    if transform.auto_pad:
        old = max(old[0], height), max(old[1], width)
    top, left = (max(0, round((a - b) / 2)) for a, b in zip(old, (height, width), strict=True))
    return _shift(left, top)


def _resize(transform: Any, old: tuple, new: tuple, results: dict) -> np.ndarray:
    return _scaling(old[1] / new[1], old[0] / new[0])


def _stay(transform: Any, old: tuple, new: tuple, results: dict) -> np.ndarray:
    return np.eye(3)


def _rotate(transform: Any, old: tuple, new: tuple, results: dict) -> np.ndarray:
    center = transform.center or ((old[1] - 1) / 2, (old[0] - 1) / 2)
    angle = transform.random_negative.drawn
    return _warp(cv2.getRotationMatrix2D(center, -angle, transform.scale))


def _shear(transform: Any, old: tuple, new: tuple, results: dict) -> np.ndarray:
    magnitude = transform.random_negative.drawn
    if transform.direction == 'horizontal':
        return _warp(np.array([[1, magnitude, 0], [0, 1, 0]]))
    return _warp(np.array([[1, 0, 0], [magnitude, 1, 0]]))


def _translate(transform: Any, old: tuple, new: tuple, results: dict) -> np.ndarray:
    magnitude = transform.random_negative.drawn
    if transform.direction == 'horizontal':
        return _shift(-magnitude * old[1], 0)
    return _shift(0, -magnitude * old[0])


def _warp(matrix: np.ndarray) -> np.ndarray:
    """The way back of OpenCV's `warpAffine`, whose pixels have their numbers at their centers."""
    forward = np.vstack([matrix, [0, 0, 1]])
    return _shift(0.5, 0.5) @ np.linalg.inv(forward) @ _shift(-0.5, -0.5)


_WAYS = {
    'RandomFlip': _flip,
    'RandomResizedCrop': _resized_crop,
    'RandomCrop': _crop,
    'CenterCrop': _center_crop,
    'Resize': _resize,
    'ResizeEdge': _resize,
    'Pad': _stay,
    'Rotate': _rotate,
    'Shear': _shear,
    'Translate': _translate,
}
