"""How much of a mixed image's target is its own label: CutMix, TransMix, and what methods add.

A rule says what trace the backbone carries, from which layer and how exactly, and turns what comes
out into the own-label weight w of each token that is classified: the target is w·e(y) +
(1 − w)·e(y′).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from .mixed import Mixed

# (B, A + H·W, M) → (B, T, M): what the T outputs of the backbone that are classified see of the
# tokens.
Readout = Callable[[Tensor], Tensor]


class CutMixRule:
    """w = λ, the share of own patches (Yun et al., ICCV 2019)."""

    trace_from = 0
    exact_trace = False
    # Whether w is read off attention.
    follows_attention = False

    def start(self, mixed: Mixed, num_aux: int) -> Tensor | None:
        """The trace of the embedding's tokens, (B, A + H·W, M), or None for none; it enters
        the layer `trace_from`, pooled like them.
        """
        return None

    def own_weight(
        self, mixed: Mixed, start: Tensor | None, trace: Tensor | None, read: Readout
    ) -> Tensor:
        """The own-label weight of each classified output, (B, T) or (B, 1).

        Args:
            mixed: The mixed batch.
            start: The trace that entered the layer `trace_from`, (B, A + H·W, M).
            trace: What the last layer leaves of it, (B, A + H·W, M).
            read: What the classified outputs see of the tokens.
        """
        return mixed.lam[:, None]


class TransMixRule(CutMixRule):
    """Half λ, half the share of the last layer's attention that own patches get (Chen et al., CVPR
    2022; Beckschen/TransMix).

    That attention is the class token's to the patches, mean over heads. Where the mean of the
    patches is classified, it is the mean of theirs (our design; TransMix needs a class token).
    """

    trace_from = -1
    follows_attention = True
    # What an image's patches get may be small beside what the class token keeps to itself.
    exact_trace = True

    def start(self, mixed: Mixed, num_aux: int) -> Tensor:
        """Two channels, own patches and all patches, zero on auxiliary tokens; (B, A + H·W, 2)."""
        own = 1 - mixed.mask.flatten(1).to(mixed.lam.dtype)
        patches = torch.stack([own, torch.ones_like(own)], dim=-1)
        return F.pad(patches, (0, 0, num_aux, 0))

    def own_weight(self, mixed: Mixed, start: Tensor, trace: Tensor, read: Readout) -> Tensor:
        """½(λ + attention to own patches / attention to patches), (B, T); λ where no attention
        reaches the patches.
        """
        # The layer leaves ½(Ā·start + start).
        own, patches = read(2 * trace - start).unbind(dim=-1)
        lam = mixed.lam[:, None]
        # Where hardly any attention reaches the patches, its ratio is that of rounding errors.
        reached = patches > torch.finfo(patches.dtype).eps
        share = (own / patches.where(reached, 1)).clamp(0, 1)
        return 0.5 * (lam + share.where(reached, lam))


TARGET_RULES = {'transmix': TransMixRule, 'cutmix': CutMixRule}
"""By the names that a classifier's `target` has; a method adds its own."""
