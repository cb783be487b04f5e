"""Label maps from a classifier: its head, applied to every position of its last map."""

from __future__ import annotations

import torch
from mmpretrain.models import DeiTClsHead, GlobalAveragePooling, ImageClassifier
from torch import Tensor, nn

from mmtoken.errors import UserError


def position_scores(model: ImageClassifier, images: Tensor) -> Tensor:
    """Score every position of a classifier's last map as the head scores the whole image.

    A head over the mean of the positions is linear, so that the scores of an image are the mean of
    these. A head over the class token is applied to patch tokens, which it has not seen in training
    (Jiang et al., arXiv 2104.10858, annotate with a network of the first kind).

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
    asked = getattr(backbone, 'out_type', None)
    if asked is None:
        maps = backbone(images)[-1]
    else:
        backbone.out_type = 'featmap'
        try:
            maps = backbone(images)[-1]
        finally:
            backbone.out_type = asked
    if not torch.is_tensor(maps) or maps.ndim != 4:
        raise UserError(
            f'backbone {type(backbone).__name__} gives no feature map; annotate with one that does'
        )
    # mmpretrain's ViT has a norm of its own for the mean of the patches.
    if asked == 'avg_featmap' and hasattr(backbone, 'ln2'):
        maps = backbone.ln2(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    return maps
