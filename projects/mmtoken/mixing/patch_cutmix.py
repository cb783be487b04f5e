"""CutMix on the patch grid: whole patches of the flipped batch are pasted, so every token is of one
image.
"""

from __future__ import annotations

import torch
from mmpretrain.registry import BATCH_AUGMENTS
from torch import Tensor

from .mixed import Mixed
from .patch_mix import PatchMix


@BATCH_AUGMENTS.register_module()
class PatchCutMix(PatchMix):
    """Batch-flip CutMix in whole patches (TL-Align, arXiv 2210.06455; Yun et al., ICCV 2019).

    `TLAlignClassifier(mix=dict(type='PatchCutMix'))` uses it with the mask; in an
    `ImageClassifier`'s `train_cfg.augments` it is a CutMix like any other. Boxes and arguments are
    those of `PatchMix`.
    """

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

    def _paste(self, images: Tensor, mask: Tensor, lam: Tensor, pasted: bool) -> Mixed:
        if pasted:
            size, (height, width) = self.patch_size, images.shape[2:]
            # (n, H, W) → (n, 1, H·size, W·size) → (n, 1, height, width)
            pixels = mask.repeat_interleave(size, dim=1).repeat_interleave(size, dim=2)
            pixels = pixels[:, None, :height, :width]
            images = torch.where(pixels, images.flip(0), images)
        return Mixed(images, mask.expand(len(images), -1, -1), lam, pasted)
