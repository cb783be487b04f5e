"""Bring a map from the token grid onto the image."""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F
from matplotlib import colormaps
from torch import Tensor

from .capture import Capture


def image_of(capture: Capture) -> np.ndarray:
    """The image that the model saw, without padding, (h, w, 3) uint8 RGB."""
    image = capture.image.permute(1, 2, 0).round().clamp(0, 255).byte().cpu().numpy()
    return np.ascontiguousarray(image[..., ::-1])


def upsample(rolled: Tensor, capture: Capture) -> Tensor:
    """A map on the image that the model saw, interpolated between the centers of the tokens.

    Args:
        rolled: (H, W) over the patches.
        capture: The prediction it belongs to.

    Returns:
        (h, w); padding is cropped. For detectors and segmentors the image that the model saw is the
        whole original image, resized.
    """
    padded = [count * capture.backbone.patch_size for count in rolled.shape]
    full = F.interpolate(
        rolled[None, None].float(), size=padded, mode='bilinear', align_corners=False
    )
    height, width = capture.image.shape[-2:]
    return full[0, 0, :height, :width]


def overlay(rolled: Tensor, capture: Capture, opacity: float = 0.75) -> np.ndarray:
    """A map painted over the image: the more attention, the brighter and the more opaque.

    Args:
        rolled: (H, W) over the patches; scaled to its own minimum and maximum.
        capture: The prediction it belongs to.
        opacity: Of the strongest attention, 0 to 1.

    Returns:
        (h, w, 3) uint8 RGB.
    """
    heat = upsample(rolled, capture).cpu().numpy()
    low, high = heat.min(), heat.max()
    # Differences as small as what interpolation rounds are none.
    uneven = high - low > 1e-6 * high
    heat = (heat - low) / (high - low) if uneven else np.zeros_like(heat)
    # Grey, so that the image's own colors are not taken for attention.
    grey = image_of(capture).mean(axis=-1, keepdims=True)
    alpha = opacity * heat[..., None]
    painted = (1 - alpha) * grey + alpha * 255 * colormaps['inferno'](heat)[..., :3]
    return painted.round().astype(np.uint8)
