"""Roll-outs of image files as pictures: one a class, large enough to be seen."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.config import Config
from PIL import Image
from torch import nn

from mmtoken.errors import UserError
from mmtoken.rollout import Capture, TokenSet, capture, file_names, overlay, roll_maps
from mmtoken.runtime.load_model import load_image

# Smaller images are enlarged by a whole factor, so that a map can be seen on them.
MIN_SIDE = 320


def capture_image(model: nn.Module, cfg: Config, path: Path, stage: int | None = None) -> Capture:
    """`capture` of an image file.

    Raises:
        UserError: If the file cannot be read, or the model cannot take it; names the file.
    """
    data = load_image(cfg, path)
    try:
        return capture(model, data, stage)
    except UserError as error:
        raise UserError(f'image {str(path)!r}: {error}') from error


def save_overlays(
    taken: Capture, chosen: Sequence[TokenSet], names: Sequence[str], folder: Path, stem: str
) -> None:
    """Write <stem>_<class>.png of every token set.

    Args:
        taken: The capture of the image.
        chosen: The sets.
        names: Of all classes; where there are none, files have the class's number.
        folder: Where to.
        stem: Of the file names.
    """
    names = file_names(names)
    for found, rolled in zip(chosen, roll_maps(taken, chosen), strict=True):
        name = names[found.label] if names else found.label
        save_overlay(overlay(rolled, taken), folder / f'{stem}_{name}.png')


def save_overlay(picture: np.ndarray, path: Path) -> None:
    """Write a picture, enlarged by a whole factor where it is small."""
    factor = -(-MIN_SIDE // min(picture.shape[:2]))
    Image.fromarray(picture.repeat(factor, 0).repeat(factor, 1)).save(path)
