"""What a decision should rest on, as losses: foreground tokens, and few dimensions for each class.

The two stages of ViT-Calibrator (arXiv 2304.04354), of whose text and code nothing but the abstract
was at hand: every formula here is our design on the abstract's terms, after Transformer Doctor and
Model Doctor of the same group (`doctor_losses.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from mmpretrain.registry import MODELS
from torch import Tensor

from mmtoken.checks import check_number, check_probability
from mmtoken.errors import UserError
from mmtoken.vit import TokenViT

from .calibration_loss import TINY, CalibrationLoss, Case, Judgment, RuleLoss
from .evidence import Evidence
from .foreground import last_informative_layer


@MODELS.register_module()
class TokenPropagation(CalibrationLoss):
    """Stage 1: relevance shall lie on foreground tokens, the more the deeper the layer, and not be
    lost from one layer of the choice to the next (our design).

    With the relevance u of each patch that leaves layer l, c = (∂s/∂z ⊙ z)₊ summed over dimensions,
    and the foreground's share of it ρ = Σ_fg u / Σ u::

        L = 1/Σw · Σ_l w_l·[(1 − ρ_l) + γ·(ρ_{l−1} − ρ_l)₊],  w_l = l/L

    l counts from 1; l − 1 is the layer of the choice before l, and the first has no second term.

    Args:
        layers: By default those of the later half, but for the last one where a class token is
            classified, since no patch that leaves it matters to the score.
        gamma: γ.
        loss_weight: λ.
    """

    needs_foreground = True

    def __init__(
        self,
        layers: int | Sequence[int] | None = None,
        gamma: float = 1.0,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(layers, loss_weight)
        check_number('gamma', gamma)
        self.gamma = gamma

    def default_layers(self, backbone: TokenViT) -> Sequence[int]:
        count = backbone.num_running
        return range(count // 2, last_informative_layer(backbone) + 1) or (0,)

    def attach(self, backbone: TokenViT) -> None:
        super().attach(backbone)
        last = last_informative_layer(backbone)
        if self.layers[-1] > last:
            raise UserError(
                f'layers {self.layers} of TokenPropagation have one after layer {last}, of whose '
                "patches the class token's score does not depend; leave it out"
            )
        self.count = backbone.num_running

    def forward(self, case: Case) -> Judgment:
        shares: dict[int, Tensor] = {}
        losses, weights, alive, before = 0.0, 0.0, case.known, None
        for place in self.places:
            relevance = case.evidence.relevance(place)[:, self.num_aux :].sum(dim=2)
            total = relevance.sum(dim=1)
            alive = alive & (total > 0)
            layer, weight = place.layer, (place.layer + 1) / self.count
            inside = (relevance * case.foreground[layer]).sum(dim=1)
            share = shares[layer] = inside / total.clamp(min=TINY)
            lost = 0.0 if before is None else (before - share).clamp(min=0)
            losses = losses + weight * (1 - share + self.gamma * lost)
            weights, before = weights + weight, share
        logs = {}
        if alive.any():
            logs = {
                f'foreground_share_{layer}': Judgment(share.detach(), alive).mean()
                for layer, share in shares.items()
            }
        return Judgment(losses / weights, alive, logs)


@MODELS.register_module()
class DimensionPropagation(RuleLoss):
    """Stage 2: relevance shall lie on the dimensions that the class depends on (our design).

    With the relevance e of each dimension, c = (∂s/∂z ⊙ z)₊ summed over tokens, and the rule M of
    the image's class::

        L = Σ_d (1 − M_kd)·e_d / Σ_d e_d,  M_k = 1[mean over the class's images of e/max e ≥ τ]

    Of several layers, the mean. Images of a class without a rule do not count.

    Args:
        layers: The last one by default.
        threshold: τ.
        fewest: Least share of the dimensions that a class keeps: the most relevant ones.
        most: Largest share.
        runner_up: Weight of the same for the best other class k′, whose rule is the other way
            round: Σ_d M_k′d·e_d(k′) / Σ_d e_d(k′), as in Model Doctor; 0 leaves it out.
        control: As of `RuleLoss`.
        loss_weight: λ.
    """

    def __init__(
        self,
        layers: int | Sequence[int] | None = None,
        threshold: float = 0.15,
        fewest: float = 0.05,
        most: float = 0.5,
        runner_up: float = 0.0,
        control: str | None = None,
        loss_weight: float = 1.0,
    ) -> None:
        super().__init__(layers, control, loss_weight)
        check_probability('threshold', threshold)
        for name, number in (('fewest', fewest), ('most', most), ('runner_up', runner_up)):
            check_number(name, number)
        if not fewest <= most <= 1:
            raise UserError(
                f'fewest {fewest} and most {most} are no range of shares; use for example '
                'fewest=0.05 and most=0.5'
            )
        self.threshold = threshold
        self.fewest = fewest
        self.most = most
        self.runner_up = runner_up

    @property
    def wants_rival(self) -> bool:
        return self.runner_up > 0

    def statistics(self, evidence: Evidence) -> dict[int, Tensor]:
        found = {}
        for place in self.places:
            relevance = evidence.relevance(place).sum(dim=1)
            largest = relevance.max(dim=1, keepdim=True).values
            found[place.layer] = relevance / largest.clamp(min=TINY)
        return found

    def decide(self, means: Tensor) -> Tensor:
        dims = means.shape[1]
        # 0 for the most relevant dimension.
        rank = means.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
        fewest, most = max(1, round(self.fewest * dims)), max(1, round(self.most * dims))
        return ((means >= self.threshold) | (rank < fewest)) & (rank < most)

    def forward(self, case: Case) -> Judgment:
        losses, alive = 0.0, self.ruled(case.labels)
        for place in self.places:
            rules = self.rules(place.layer)
            allowed = rules[case.labels]
            share, there = _share(case.evidence.relevance(place), ~allowed)
            losses, alive = losses + share, alive & there
            if self.wants_rival:
                share, there = _share(case.rival.relevance(place), rules[case.rivals])
                # A rule that allows all says nothing about a rival.
                there = there & self.ruled(case.rivals, [place.layer])
                losses = losses + self.runner_up * share * there
        return Judgment(losses / len(self.layers), alive)


def _share(relevance: Tensor, dims: Tensor) -> tuple[Tensor, Tensor]:
    """The share of some dimensions, (B, D) boolean, in the relevance (B, N, D), and whether there
    is any relevance, (B,) each.
    """
    summed = relevance.sum(dim=1)
    total = summed.sum(dim=1)
    return (summed * dims).sum(dim=1) / total.clamp(min=TINY), total > 0
