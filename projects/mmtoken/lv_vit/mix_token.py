"""MixToken: CutMix after the stem, so that no patch has pixels of two images."""

from __future__ import annotations

from mmpretrain.registry import BATCH_AUGMENTS
from torch import Tensor

from mmtoken.mixing import Mixed
from mmtoken.mixing.patch_mix import PatchMix


@BATCH_AUGMENTS.register_module()
class MixToken(PatchMix):
    """Exchange of tokens with the flipped batch, between stem and position embedding (LV-ViT, arXiv
    2104.10858; released code).

    A stem of convolutions looks beyond a patch, so that pasted pixels would reach the tokens
    around a box; exchanged tokens are of one image each. The backbone does it (`TokenViT.forward`,
    `swap`); images stay as they are. Boxes and arguments are those of `PatchMix`.
    """

    def _paste(self, images: Tensor, mask: Tensor, lam: Tensor, pasted: bool) -> Mixed:
        return Mixed(images, mask.expand(len(images), -1, -1), lam, pasted, in_pixels=False)
