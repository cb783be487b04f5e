"""What a mixed batch is: images, whose each patch is, and how much of an image is its own."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Mixed:
    """A batch whose images hold patches of their partners, image i those of image B − 1 − i.

    Args:
        images: (B, C, height, width).
        mask: Which patches are the partner's, (B, H, W), boolean.
        lam: λ, the share of patches that are the image's own, (B,).
        pasted: Whether any patch is a partner's; known without asking the device.
        in_pixels: Whether the images hold the partner's patches already; otherwise the backbone
            exchanges their tokens.
    """

    images: Tensor
    mask: Tensor
    lam: Tensor
    pasted: bool = True
    in_pixels: bool = True

    @property
    def swap(self) -> Tensor | None:
        """The patches that the backbone is to exchange, or None for none."""
        return self.mask if self.pasted and not self.in_pixels else None
