"""What the losses of one batch are shown: its evidence, made once for all losses that want it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from mmtoken.vit import TokenViT

from .calibration_loss import CalibrationLoss, Case
from .evidence import Attended, Evidence, Place, evidence_of
from .foreground import Foreground


def places_of(losses: Iterable[CalibrationLoss]) -> list[Place]:
    """Where losses look, each place once."""
    return list(dict.fromkeys(place for loss in losses for place in loss.places))


def evidence_by_score(
    backbone: TokenViT,
    scores: Tensor,
    kept: Mapping[Place, Tensor | Attended],
    labels: Tensor,
    losses: Sequence[CalibrationLoss],
    differentiable: bool = True,
) -> dict[str, Evidence]:
    """The evidence for one class of each image, by what losses take the gradient of.

    Args:
        backbone: What it flowed through.
        scores: Of all classes, (B, K) logits.
        kept: As of `run_watched`.
        labels: The class of each image, (B,).
        losses: Those that want it.
        differentiable: Whether a loss can be made of it.

    Returns:
        For 'logit' and 'probability', whichever a loss asks for, what its losses look at.
    """
    found = {}
    for score in dict.fromkeys(loss.score for loss in losses):
        values = scores.softmax(dim=1) if score == 'probability' else scores
        found[score] = evidence_of(
            values.gather(1, labels[:, None]).squeeze(1),
            kept,
            places_of(loss for loss in losses if loss.score == score),
            backbone.num_aux_tokens,
            differentiable,
        )
    return found


def cases_of(
    backbone: TokenViT,
    scores: Tensor,
    kept: Mapping[Place, Tensor | Attended],
    labels: Tensor,
    losses: Sequence[CalibrationLoss],
    foreground: Foreground | None,
    grid: tuple[int, int],
) -> dict[str, Case]:
    """A batch as losses see it.

    Args:
        backbone: As of `evidence_by_score`, like the next four.
        scores: (B, K).
        kept: By place.
        labels: The true classes, (B,).
        losses: Those that act.
        foreground: Of these images; None where nothing said it.
        grid: (H, W) of the embedding.

    Returns:
        The cases, by what losses take the gradient of.
    """
    own = evidence_by_score(backbone, scores, kept, labels, losses)
    rival, rivals = {}, None
    wanting = [loss for loss in losses if loss.wants_rival]
    if wanting:
        rivals = scores.detach().scatter(1, labels[:, None], -torch.inf).argmax(dim=1)
        rival = evidence_by_score(backbone, scores, kept, rivals, wanting)
    shares, known = {}, None
    if foreground is not None:
        layers = {layer for loss in losses if loss.needs_foreground for layer in loss.layers}
        shares = {layer: foreground.at(backbone, grid, layer) for layer in layers}
        known = foreground.known
    return {
        score: Case(evidence, labels, rival.get(score), rivals, shares, known)
        for score, evidence in own.items()
    }
