"""CutMix on the patch grid: whole patches of the flipped batch are pasted, so every token is of one
image.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from mmpretrain.registry import BATCH_AUGMENTS
from torch import Tensor

from mmtoken.errors import UserError


@dataclass(frozen=True)
class Mixed:
    """A batch whose images hold patches of their partners, image i those of image B − 1 − i.

    Args:
        images: (B, C, height, width).
        mask: Which patches are the partner's, (B, H, W), boolean.
        lam: λ, the share of patches that are the image's own, (B,).
        pasted: Whether any patch is a partner's; known without asking the device.
    """

    images: Tensor
    mask: Tensor
    lam: Tensor
    pasted: bool = True


@BATCH_AUGMENTS.register_module()
class PatchCutMix:
    """Batch-flip CutMix in whole patches (TL-Align, arXiv 2210.06455; Yun et al., ICCV 2019).

    λ ~ Beta(α, α) gives a box of √(1 − λ) of the grid's sides around a random patch, clipped to the
    grid; then λ = 1 − pasted / N. Unlike the released code, whose boxes lose a patch where their
    side is odd, the side is as computed; and grids need not be square nor batches even: the middle
    image of an odd batch is its own partner. Random numbers are numpy's, as in mmpretrain's CutMix.

    `TLAlignClassifier(mix=dict(type='PatchCutMix'))` uses it with the mask; in an
    `ImageClassifier`'s `train_cfg.augments` it is a CutMix like any other.

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
        if patch_size < 1:
            raise UserError(f'patch_size {patch_size} of PatchCutMix must be at least 1 pixel')
        if alpha <= 0:
            raise UserError(f'alpha {alpha} of PatchCutMix must be positive; 1.0 is the usual one')
        if not 0 <= prob <= 1:
            raise UserError(f'prob {prob} of PatchCutMix is no probability; use 0.0 to 1.0')
        self.patch_size = patch_size
        self.alpha = alpha
        self.prob = prob
        self.per_image = per_image

    def __call__(self, batch_inputs: Tensor, batch_score: Tensor) -> tuple[Tensor, Tensor]:
        """Mix images and labels as every batch augment of mmpretrain does.

        Args:
            batch_inputs: Images, (B, C, height, width).
            batch_score: Labels as scores, (B, K).

        Returns:
            The mixed images and the scores mixed by λ.
        """
        mixed = self.mix(batch_inputs)
        score = batch_score.float()
        return mixed.images, torch.lerp(score.flip(0), score, mixed.lam[:, None])

    def mix(self, images: Tensor) -> Mixed:
        """Paste boxes of patches from the flipped batch.

        Args:
            images: (B, C, height, width) on any device. Where the patch size does not divide them,
                the last patches are cut off, as the backbone pads them.

        Returns:
            The mixed images, new in memory unless nothing is pasted, with mask and λ.
        """
        batch, _, height, width = images.shape
        size = self.patch_size
        boxes = self._draw(batch if self.per_image else 1, -(-height // size), -(-width // size))
        mask = torch.from_numpy(boxes).to(images.device)
        # λ in float64 on the host: 1 − pasted / N rounds once.
        lam = torch.from_numpy(1 - boxes.mean(axis=(1, 2))).to(images.device, torch.float32)
        if boxes.any():
            # (n, H, W) → (n, 1, H·size, W·size) → (n, 1, height, width)
            pixels = mask.repeat_interleave(size, dim=1).repeat_interleave(size, dim=2)
            pixels = pixels[:, None, :height, :width]
            images = torch.where(pixels, images.flip(0), images)
        return Mixed(images, mask.expand(batch, -1, -1), lam.expand(batch), bool(boxes.any()))

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
