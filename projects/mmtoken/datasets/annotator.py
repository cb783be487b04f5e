"""Label maps from a classifier: its head, applied to every position of its last map."""

from __future__ import annotations

import math

import torch
from mmpretrain.models import DeiTClsHead, EdgeNeXt, GlobalAveragePooling, ImageClassifier
from torch import Tensor, nn

from mmtoken.errors import UserError

# How to ask backbones of ours and of mmpretrain for a map: the mean is left to us.
_AS_MAP = dict(out_type='featmap', gap_before_final_norm=False)


def top_scores(model: ImageClassifier, images: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """The largest scores of every position.

    Label maps give all classes that they leave out the logit 0, about what a head trained with
    softmax gives them. Trained with sigmoid it gives them far less, and so its scores are shifted,
    which no softmax sees: 0 then stands for all that it gives them (our design).

    Args:
        model: As of `position_scores`.
        images: As of `position_scores`.
        top_k: k, up to K.

    Returns:
        Scores and their classes, (B, k, H, W) each.

    Raises:
        UserError: As `position_scores` does.
    """
    scores = position_scores(model, images).float()
    values, ids = scores.topk(top_k, dim=1)
    left_out = scores.shape[1] - top_k
    by_sigmoid = any(getattr(part, 'use_sigmoid', False) for part in model.head.modules())
    if by_sigmoid and left_out:
        rest = scores.scatter(1, ids, -torch.inf).logsumexp(dim=1, keepdim=True)
        values = values - (rest - math.log(left_out))
    return values, ids


def position_scores(model: ImageClassifier, images: Tensor) -> Tensor:
    """Score every position of a classifier's last map as the head scores the whole image.

    Where nothing but linear maps follows the mean of the positions, the scores of an image are the
    mean of these; a norm that follows it is applied to each position instead, as are a head's
    hidden layers. A head over the class token is applied to patch tokens, which it has not seen in
    training (Jiang et al., arXiv 2104.10858, annotate with a network of the first kind).

    Args:
        model: A classifier over a ViT of ours or of mmpretrain, or over a network with maps.
        images: (B, 3, height, width), normalized.

    Returns:
        (B, K, H, W).

    Raises:
        UserError: If the head takes something else than a position's features.
    """
    head = model.head
    if model.with_neck and not isinstance(model.neck, GlobalAveragePooling):
        raise UserError(
            f'neck {type(model.neck).__name__} stands between map and head, so that positions '
            'cannot be scored one by one; use an annotator with GlobalAveragePooling or no neck'
        )
    maps = _last_map(model.backbone, images)
    batch, channels, height, width = maps.shape
    # (B, C, H, W) → (B·H·W, C)
    flat = maps.permute(0, 2, 3, 1).reshape(-1, channels)
    if isinstance(head, DeiTClsHead):
        # It takes class and distillation token.
        scores = head(((flat, flat),))
    elif hasattr(head, 'position_scores'):
        scores = head.position_scores(flat)
    else:
        scores = head((flat,))
    # (B·H·W, K) → (B, K, H, W)
    return scores.view(batch, height, width, -1).permute(0, 3, 1, 2)


def _last_map(backbone: nn.Module, images: Tensor) -> Tensor:
    """The last feature map, (B, C, H, W)."""
    asked = {name: getattr(backbone, name) for name in _AS_MAP if hasattr(backbone, name)}
    # EdgeNeXt's last norm takes means alone.
    maps = None
    if not isinstance(backbone, EdgeNeXt):
        try:
            vars(backbone).update({name: _AS_MAP[name] for name in asked})
            maps = backbone(images)[-1]
        finally:
            vars(backbone).update(asked)
    if not torch.is_tensor(maps) or maps.ndim != 4:
        raise UserError(
            f'backbone {type(backbone).__name__} gives no feature map; annotate with one that does'
        )
    # mmpretrain's ViT has a norm of its own for the mean of the patches.
    if asked.get('out_type') == 'avg_featmap' and hasattr(backbone, 'ln2'):
        maps = backbone.ln2(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    return maps
