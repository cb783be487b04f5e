"""The relatives' losses, in the form of their papers, to be compared with: Transformer Doctor's
(NeurIPS 2024) on attention and on the MLP, and Model Doctor's (AAAI 2022) on channels.

They are sums of gradients, not shares: their weights are no weights of `losses.py`. Transformer
Doctor has α = 10 and β = 100 in its paper, Model Doctor α = 10.
"""

from __future__ import annotations

from collections.abc import Sequence

from mmpretrain.registry import MODELS
from torch import Tensor

from mmtoken.checks import check_number

from .calibration_loss import TINY, CalibrationLoss, Case, Judgment, RuleLoss
from .evidence import Evidence, Place


@MODELS.register_module()
class InterTokenLoss(CalibrationLoss):
    """Transformer Doctor, equations 5 and 6: â = mean over heads of (∂p/∂a)₊ ⊙ a, and
    L = Σ_j (1 − t_j)·Σ_i â_ij, t the foreground, to which auxiliary tokens belong.

    The attention weights of these layers are formed, N×N numbers a head.

    Args:
        layers: The last one by default.
        loss_weight: α, 10 in the paper.
    """

    kind = 'attention'
    score = 'probability'
    needs_foreground = True

    def __init__(
        self, layers: int | Sequence[int] | None = None, loss_weight: float = 10.0
    ) -> None:
        super().__init__(layers, loss_weight)

    def forward(self, case: Case) -> Judgment:
        losses = 0.0
        for place in self.places:
            evidence = case.evidence
            weights = evidence.gradients[place].clamp(min=0) * evidence.values[place]
            # (B, h, N, N) → (B, N): what each token is looked at.
            looked_at = weights.mean(dim=1).sum(dim=1)[:, self.num_aux :]
            losses = losses + (looked_at * (1 - case.foreground[place.layer])).sum(dim=1)
        return Judgment(losses, case.known)


@MODELS.register_module()
class IntraTokenLoss(RuleLoss):
    """Transformer Doctor, equations 7 to 9: ẑ = (∂p/∂z)₊ ⊙ z of the MLP's activations, a class's
    rule r = 1[mean ẑ ≥ τ], and L = Σ ẑ·(1 − r).

    For the rule, ẑ of each image is stretched to reach from 0 to 1, as the released code does: of
    images that are classified with confidence ∂p/∂z all but vanishes, and none would reach τ.

    Of the class token where it is classified, as in the paper; else summed over the tokens (ours:
    the paper's rule for each token's place means nothing to images that are cropped). The released
    code multiplies by r, not by 1 − r; this follows the paper.

    z is GELU's there, hardly ever below 0. A gated MLP (`SwiGLU`) has as much below as above, of
    which this sum can become less than 0 without end.

    Args:
        layers: The last one by default.
        threshold: τ.
        control: As of `RuleLoss`.
        loss_weight: β, 100 in the paper.
    """

    kind = 'hidden'
    score = 'probability'

    def __init__(
        self,
        layers: int | Sequence[int] | None = None,
        threshold: float = 0.15,
        control: str | None = None,
        loss_weight: float = 100.0,
    ) -> None:
        super().__init__(layers, control, loss_weight)
        check_number('threshold', threshold, example=0.15)
        self.threshold = threshold

    def statistics(self, evidence: Evidence) -> dict[int, Tensor]:
        found = {}
        for place in self.places:
            relevance = self._relevance(evidence, place)
            low, high = relevance.amin(dim=1, keepdim=True), relevance.amax(dim=1, keepdim=True)
            found[place.layer] = (relevance - low) / (high - low).clamp(min=TINY)
        return found

    def decide(self, means: Tensor) -> Tensor:
        return means >= self.threshold

    def forward(self, case: Case) -> Judgment:
        losses = 0.0
        for place in self.places:
            outside = ~self.rules(place.layer)[case.labels]
            losses = losses + (self._relevance(case.evidence, place) * outside).sum(dim=1)
        return Judgment(losses, self.ruled(case.labels))

    def _relevance(self, evidence: Evidence, place: Place) -> Tensor:
        """ẑ, (B, M)."""
        found = evidence.gradients[place].clamp(min=0) * evidence.values[place]
        return found[:, 0] if self.classifies_token else found.sum(dim=1)


@MODELS.register_module()
class ChannelLoss(RuleLoss):
    """Model Doctor's channel loss, as its repository has it: g = Σ over places (∂s/∂F)₊, a class's
    rule C = 1[sum of g over its images, from 0 to 1 over the channels > θ], and
    L = Σ g(k)·(1 − C_k) + Σ g(k′)·C_k′, k′ the best other class.

    F is the last map of patch tokens; for a class token, which is then all that is classified, F is
    the tokens that leave the layer.

    Args:
        layers: The last one by default.
        threshold: θ.
        control: As of `RuleLoss`.
        loss_weight: α, 10 in the repository.
    """

    def __init__(
        self,
        layers: int | Sequence[int] | None = None,
        threshold: float = 0.2,
        control: str | None = None,
        loss_weight: float = 10.0,
    ) -> None:
        super().__init__(layers, control, loss_weight)
        check_number('threshold', threshold, example=0.2)
        self.threshold = threshold

    @property
    def wants_rival(self) -> bool:
        return True

    def statistics(self, evidence: Evidence) -> dict[int, Tensor]:
        return {
            place.layer: evidence.gradients[place].clamp(min=0).sum(dim=1) for place in self.places
        }

    def decide(self, means: Tensor) -> Tensor:
        low, high = means.amin(dim=1, keepdim=True), means.amax(dim=1, keepdim=True)
        return (means - low) / (high - low).clamp(min=TINY) > self.threshold

    def forward(self, case: Case) -> Judgment:
        losses = 0.0
        own, rival = self.statistics(case.evidence), self.statistics(case.rival)
        for layer in self.layers:
            rules = self.rules(layer)
            losses = losses + (own[layer] * ~rules[case.labels]).sum(dim=1)
            # A rule that allows all says nothing about a rival.
            against = rules[case.rivals] & self.ruled(case.rivals, [layer])[:, None]
            losses = losses + (rival[layer] * against).sum(dim=1)
        return Judgment(losses, self.ruled(case.labels))
