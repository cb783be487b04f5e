"""What of a model is exported: its backbone, its features, or a classifier's scores."""

from collections.abc import Sequence
from math import ceil

import torch
from mmengine.model import revert_sync_batchnorm
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from mmtoken.errors import UserError
from mmtoken.vit.position import resize_position

PARTS = ('backbone', 'features', 'classifier')
KINDS = {'mmpretrain': 'a classifier', 'mmdet': 'a detector', 'mmseg': 'a segmentor'}


class Exported(nn.Module):
    """A part of a model, from normalized images to a flat tuple of tensors.

    Args:
        model: A classifier, detector or segmentor.
        part: One of `PARTS`: the backbone alone, backbone and neck, or all of a classifier.
    """

    def __init__(self, model: nn.Module, part: str) -> None:
        super().__init__()
        self.model, self.part = revert_sync_batchnorm(model).eval().requires_grad_(False), part

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Compute the part's outputs.

        Args:
            images: (B, 3, height, width), as the model's data preprocessor gives them.

        Returns:
            What the backbone or the neck returns, pairs of tokens laid flat; or scores (B, K),
            before softmax.
        """
        if self.part == 'classifier':
            return tuple(tree_leaves(self.model(images, mode='tensor')))
        features = self.model.backbone(images)
        if self.part == 'features':
            features = self.model.neck(features)
        return tuple(tree_leaves(features))


def choose_part(model: nn.Module, scope: str, asked: str | None) -> str:
    """The part of a model to export.

    Args:
        model: The model.
        scope: The library it is of.
        asked: One of `PARTS`, or None for all of a classifier, and else for backbone and, where
            there is one, neck.

    Returns:
        One of `PARTS`.

    Raises:
        UserError: If the model has no such part, or it is a head of a detector or segmentor.
    """
    kind, necked = KINDS.get(scope, 'a model'), getattr(model, 'neck', None) is not None
    if asked == 'classifier' and scope != 'mmpretrain':
        raise UserError(
            f'--what classifier: the config is of {kind}, whose heads are not exported; use '
            f'--what {"features" if necked else "backbone"}'
        )
    if asked == 'features' and not necked:
        raise UserError('--what features: the model has no neck; use --what backbone')
    if asked is not None:
        return asked
    if scope == 'mmpretrain':
        return 'classifier'
    return 'features' if necked else 'backbone'


def image_size(backbone: nn.Module, size: Sequence[int] | None) -> tuple[int, int]:
    """The size of the images that the graph is to take.

    Args:
        backbone: Has `img_size` and `patch_size`.
        size: What is asked for, height and width; None for the size that it was built for.

    Returns:
        Height and width.

    Raises:
        UserError: If a side is no multiple of `patch_size`, whose padding is better left to who
            makes the images.
    """
    height, width = backbone.img_size if size is None else size
    patch = backbone.patch_size
    if min(height, width) < 1 or height % patch or width % patch:
        fitting = [patch * max(1, ceil(side / patch)) for side in (height, width)]
        raise UserError(
            f'--size {height} {width} is not a multiple of the patch_size {patch}; use '
            f'{fitting[0]} {fitting[1]}'
        )
    return height, width


@torch.no_grad()
def fold_position(backbone: nn.Module, size: tuple[int, int]) -> None:
    """Bring the position embedding to the grid of a size for good, so that nothing is left to
    resize.

    Args:
        backbone: A `TokenViT` or a pyramid; changed in place.
        size: Height and width of all images from here on.
    """
    for name, num_aux in (
        ('pos_embed', backbone.num_aux_tokens),
        ('absolute_pos_embed', 0),
    ):
        learned = getattr(backbone, name, None)
        if learned is None:
            continue
        grid = tuple(side // backbone.patch_size for side in size)
        resized = resize_position(
            learned, backbone.patch_resolution, grid, num_aux, backbone.interpolate_mode
        )
        setattr(backbone, name, nn.Parameter(resized.clone(), requires_grad=False))
        backbone.patch_resolution = grid
