"""Which output tokens belong to each class, and each instance, that a model predicted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mmtoken.errors import UserError

from .capture import Capture

WEIGHTS = ('hard', 'soft')
# A token belongs to an instance that covers at least this share of it.
COVERED = 0.5


@dataclass
class TokenSet:
    """A weighted set of output tokens.

    Args:
        label: Class index.
        weights: (A + H·W), at least 0, of the sum 1.
        score: Of a detected instance; None of a class.
        box: Left, top, right, bottom of a detected instance, pixels of the original image.
    """

    label: int
    weights: Tensor
    score: float | None = None
    box: list[float] | None = None


@dataclass
class TokenSets:
    """The token set of every predicted class, by index, and of every detected instance."""

    classes: dict[int, TokenSet]
    instances: list[TokenSet] = field(default_factory=list)


def find_token_sets(
    capture: Capture, weights: str = 'hard', score_threshold: float = 0.3
) -> TokenSets:
    """Assign the tokens that left the backbone to what the model predicted.

    - Segmentation: the logits are averaged over each token's pixels; a token belongs to its most
      probable class, and softly to each class by its probability. The classes are those of the
      pixels; one that has pixels but is the most probable of no token has the token that its pixels
      cover most.
    - Detection: a token belongs to an instance whose mask, or box where there is none, covers half
      of it, and softly by the covered share; an instance that covers half of no token has the token
      that it covers most. A class has the tokens of its instances; softly, the largest product of
      score and covered share.
    - Classification: the tokens that the head reads, the class token or all patches, belong to the
      predicted class. This is the ordinary roll-out.

    Args:
        capture: What the model predicted.
        weights: 'hard' or 'soft'.
        score_threshold: Detections below it do not count.

    Returns:
        The sets; of classes, only those that are predicted.

    Raises:
        UserError: If `weights` is unknown, or the prediction of another kind than these.
    """
    if weights not in WEIGHTS:
        raise UserError(f'weights {weights!r} is unknown; use one of {WEIGHTS}')
    soft = weights == 'soft'
    if 'seg_logits' in capture.sample:
        return _of_segmentation(capture, soft)
    if 'pred_instances' in capture.sample:
        return _of_detection(capture, soft, score_threshold)
    if 'pred_label' in capture.sample:
        return _of_classification(capture)
    raise UserError(
        f'{type(capture.model).__name__} predicts {sorted(capture.sample.keys())}, '
        'none of seg_logits, pred_instances, pred_label; '
        'give a segmentor, a detector or a classifier'
    )


def _of_segmentation(capture: Capture, soft: bool) -> TokenSets:
    logits = capture.sample.seg_logits.data.float()
    predicted = capture.sample.pred_sem_seg.data[0]
    shape = tuple(logits.shape[-2:])
    # mmseg stretches the logits of the whole image, what a pipeline padded included.
    scales = [side / pixels for side, pixels in zip(capture.image.shape[-2:], shape, strict=True)]
    rows, columns = _overlaps(capture, shape, scales)
    area = rows.sum(1)[:, None] * columns.sum(1)
    # (K, y, x) → (K, H, W), zero for tokens of nothing but padding.
    means = rows @ logits @ columns.T / area.clamp(min=1e-6)
    if len(means) == 1:
        # mmseg has made these probabilities already.
        shares = torch.cat([1 - means, means])
        winner = (means[0] > capture.model.decode_head.threshold).long()
    else:
        shares, winner = means.softmax(0), means.argmax(0)
    winner[area == 0] = -1
    shares = shares * (area > 0)
    sets = {}
    for label in predicted.unique().tolist():
        chosen = shares[label] if soft else (winner == label).float()
        if not chosen.any():
            covered = rows @ (predicted == label).float() @ columns.T
            chosen = (covered == covered.max()).float()
        sets[label] = _token_set(capture, label, chosen)
    return TokenSets(sets)


def _of_detection(capture: Capture, soft: bool, score_threshold: float) -> TokenSets:
    found = capture.sample.pred_instances
    shape = capture.sample.ori_shape
    rows, columns = token_overlaps(capture, shape)
    area = token_areas(capture)
    union: dict[int, Tensor] = {}
    instances = []
    for index in (found.scores >= score_threshold).nonzero().flatten().tolist():
        label, score = int(found.labels[index]), float(found.scores[index])
        box = found.bboxes[index].float().tolist()
        covered = torch.zeros(())
        if 'masks' in found:
            mask = torch.as_tensor(found.masks[index]).to(rows)
            covered = rows @ mask @ columns.T / area
        if not covered.any():
            covered = _box_overlap(capture, box, shape) / area
        if not covered.any():
            continue
        inside = covered if soft else (covered >= min(COVERED, covered.max())).float()
        instances.append(_token_set(capture, label, inside, score, box))
        share = inside * score if soft else inside
        union[label] = torch.maximum(union[label], share) if label in union else share
    sets = {label: _token_set(capture, label, union[label]) for label in sorted(union)}
    return TokenSets(sets, instances)


def _of_classification(capture: Capture) -> TokenSets:
    label = int(capture.sample.pred_label)
    tokens, backbone = capture.left, capture.backbone
    weights = tokens.x.new_zeros(tokens.x.shape[1], dtype=torch.float32)
    if backbone.out_type == 'cls_token':
        # With a distillation token, DeiT's head averages both.
        weights[: backbone.num_class_tokens] = 1
    else:
        weights[tokens.num_aux :] = 1
    return TokenSets({label: TokenSet(label, weights / weights.sum())})


def _token_set(
    capture: Capture,
    label: int,
    patches: Tensor,
    score: float | None = None,
    box: list[float] | None = None,
) -> TokenSet:
    """From weights of the patches, (H, W)."""
    # (H, W) → (A + H·W)
    weights = torch.nn.functional.pad(patches.flatten(), (capture.left.num_aux, 0))
    return TokenSet(label, weights / weights.sum(), score, box)


def token_overlaps(
    capture: Capture, shape: tuple[int, int], entered: bool = False
) -> tuple[Tensor, Tensor]:
    """How much of every token each pixel row and each pixel column of the original image covers.

    Args:
        capture: Has the token grid.
        shape: Height and width (y, x) of the original image.
        entered: Whether the tokens are those that entered the layers, where pooling makes them
            others than those that left.

    Returns:
        (H, y) and (W, x), in pixels of the network's input; the product of two entries is the area
        that a token and a pixel share.
    """
    return _overlaps(capture, shape, capture.pixel_size(shape), entered)


def token_areas(capture: Capture, entered: bool = False) -> Tensor:
    """The area of every token, (H, W), in pixels of the network's input; pooled ones at the border
    of an odd grid have fewer patches.

    Args:
        capture: Has the token grid.
        entered: As of `token_overlaps`.
    """
    rows, columns = (edges.diff() for edges in _edges(capture, entered))
    return rows[:, None] * columns


def _overlaps(
    capture: Capture, shape: tuple[int, int], scales: Sequence[float], entered: bool = False
) -> tuple[Tensor, Tensor]:
    return tuple(
        _overlap(side, scale * torch.arange(pixels, device=side.device), scale)
        for side, scale, pixels in zip(_edges(capture, entered), scales, shape, strict=True)
    )


def _box_overlap(capture: Capture, box: list[float], shape: tuple[int, int]) -> Tensor:
    """The area that every token shares with a box, (H, W)."""
    (rows, columns), (y_scale, x_scale) = _edges(capture), capture.pixel_size(shape)
    left, top, right, bottom = torch.tensor(box, device=rows.device)
    y = _overlap(rows, top[None] * y_scale, (bottom - top) * y_scale)
    x = _overlap(columns, left[None] * x_scale, (right - left) * x_scale)
    return y @ x.T


def _edges(capture: Capture, entered: bool = False) -> list[Tensor]:
    """Where tokens begin and end, of height and width, in pixels of the network's input."""
    patch, patches = capture.backbone.patch_size, capture.steps[0].tokens.grid
    sides, grid = ((patch, patch), patches) if entered else (capture.token_sides, capture.left.grid)
    return [
        (torch.arange(count + 1, device=capture.left.x.device) * side).clamp(max=whole * patch)
        for side, count, whole in zip(sides, grid, patches, strict=True)
    ]


def _overlap(edges: Tensor, starts: Tensor, length: float | Tensor) -> Tensor:
    """Common length of each interval between edges, n of them, and intervals of a length that start
    at m places: (n, m).
    """
    low = torch.maximum(edges[:-1, None], starts)
    high = torch.minimum(edges[1:, None], starts + length)
    return (high - low).clamp(min=0).float()
