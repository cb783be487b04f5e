"""TL-Align: own-label weights that follow the tokens through attention."""

from __future__ import annotations

import torch
from torch import Tensor

from mmtoken.mixing import TARGET_RULES, CutMixRule, Mixed
from mmtoken.mixing.target_rules import Readout


class TLAlignRule(CutMixRule):
    """w follows the tokens through every layer: (∏ ½(Ā + I))·[λ; 1 − M] (arXiv 2210.06455; released
    code, whose K-channel labels are w·e(y) + (1 − w)·e(y′) of these weights).
    """

    follows_attention = True

    def start(self, mixed: Mixed, num_aux: int) -> Tensor:
        """[λ; 1 − M]: auxiliary tokens the ratio, patches whose they are; (B, A + H·W, 1)."""
        aux = mixed.lam[:, None].expand(-1, num_aux)
        return torch.cat([aux, 1 - mixed.mask.flatten(1).to(aux.dtype)], dim=1).unsqueeze(-1)

    def own_weight(self, mixed: Mixed, start: Tensor, trace: Tensor, read: Readout) -> Tensor:
        """What the classified tokens end with, (B, T)."""
        return read(trace).squeeze(-1)


TARGET_RULES['tl_align'] = TLAlignRule
