"""What every mix of whole patches shares: the boxes of patches that are another image's."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mmtoken.errors import UserError

from .mixed import Mixed


class PatchMix:
    """A mix of images in whole patches, with those of the flipped batch (Yun et al., ICCV 2019).

    λ ~ Beta(α, α) gives a box of √(1 − λ) of the grid's sides around a random patch, clipped to the
    grid; then λ = 1 − pasted / N. Grids need not be square nor batches even: the middle image of an
    odd batch is its own partner. Unlike the released codes of TL-Align and LV-ViT, whose boxes lose
    a patch where their side is odd, the side is as computed. Random numbers are numpy's, as in
    mmpretrain's CutMix.

    Args:
        patch_size: Patch side in pixels, as the backbone's.
        alpha: α of the Beta distribution.
        prob: Probability to mix, drawn once for each box.
        per_image: Whether each image has a box of its own, or the batch has one.

    Raises:
        UserError: If an argument has no meaning; the message names it.
    """

    def __init__(
        self, patch_size: int, alpha: float = 1.0, prob: float = 1.0, per_image: bool = False
    ) -> None:
        kind = type(self).__name__
        if patch_size < 1:
            raise UserError(f'patch_size {patch_size} of {kind} must be at least 1 pixel')
        if alpha <= 0:
            raise UserError(f'alpha {alpha} of {kind} must be positive; 1.0 is the usual one')
        if not 0 <= prob <= 1:
            raise UserError(f'prob {prob} of {kind} is no probability; use 0.0 to 1.0')
        self.patch_size = patch_size
        self.alpha = alpha
        self.prob = prob
        self.per_image = per_image

    def mix(self, images: Tensor) -> Mixed:
        """Mix a batch with itself, flipped.

        Args:
            images: (B, C, height, width) on any device. Where the patch size does not divide them,
                the last patches are cut off, as the backbone pads them.

        Returns:
            The mixed batch.
        """
        batch, _, height, width = images.shape
        size = self.patch_size
        boxes = self._draw(batch if self.per_image else 1, -(-height // size), -(-width // size))
        mask = torch.from_numpy(boxes).to(images.device)
        # λ in float64 on the host: 1 − pasted / N rounds once.
        lam = torch.from_numpy(1 - boxes.mean(axis=(1, 2))).to(images.device, torch.float32)
        return self._paste(images, mask, lam.expand(batch), bool(boxes.any()))

    def _paste(self, images: Tensor, mask: Tensor, lam: Tensor, pasted: bool) -> Mixed:
        """The mixed batch of drawn boxes, `mask` (B, H, W) or, one for all, (1, H, W)."""
        raise NotImplementedError

    def _draw(self, count: int, rows: int, columns: int) -> np.ndarray:
        """Which patches of a grid lie in random boxes, (count, rows, columns)."""
        ratio = np.sqrt(1 - np.random.beta(self.alpha, self.alpha, count))
        ratio *= np.random.rand(count) < self.prob
        inside = []
        for length in (rows, columns):
            side = (length * ratio).astype(int)
            start = np.random.randint(length, size=count) - side // 2
            place = np.arange(length) - start[:, None]
            inside.append((place >= 0) & (place < side[:, None]))
        return inside[0][:, :, None] & inside[1][:, None, :]
