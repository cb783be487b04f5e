"""A mmpretrain classifier that is trained on a label for every patch."""

from __future__ import annotations

import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor

from mmtoken.datasets.label_maps import maps_of, patch_targets
from mmtoken.errors import UserError, near_miss
from mmtoken.mixing import Mixed, MixedClassifier

from .token_label_head import TokenLabelHead

TOKEN_LABELS = ('maps', 'image')
REMEDY = ", or set token_labels='image' in the model"
CLASS_TARGETS = ('maps', 'label', 'blend')


@MODELS.register_module()
class TokenLabelClassifier(MixedClassifier):
    """mmpretrain's `ImageClassifier`, trained with token labels (LV-ViT, arXiv 2104.10858).

    In training every patch token has a target besides the class token's, from label maps that the
    pipeline loads (`LoadTokenLabels`) or from the image's label. Targets of patches go where their
    tokens go: exchanged by `mix`, pooled where the backbone pools. The class token's is mixed as
    `target` says, by area as in the paper, or aligned.

    Args:
        *args: As of `ImageClassifier`; the head is a `TokenLabelHead`.
        token_labels: 'maps', or 'image' for the image's label on every patch.
        class_target: The class token's: 'maps', the mean over the map (released default); 'label',
            the image's; or 'blend' of both (released `--ground-truth`): half of each where they
            agree, nine tenths of the map's where not. 'label' by default without maps, and where
            patches have a background class, which images have not.
        **kwargs: As of `MixedClassifier`.

    Raises:
        UserError: If the parts or choices do not fit together; the message names what does not.
    """

    default_mix = dict(type='MixToken')

    def __init__(
        self,
        *args,
        token_labels: str = 'maps',
        class_target: str | None = None,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        with_background = self.head.num_token_classes > self.head.num_classes
        if class_target is None:
            class_target = 'label' if with_background or token_labels == 'image' else 'maps'
        _check_choice('token_labels', token_labels, TOKEN_LABELS)
        _check_choice('class_target', class_target, CLASS_TARGETS)
        if class_target != 'label' and (with_background or token_labels == 'image'):
            why = 'maps have a background class' if with_background else 'there are no maps'
            raise UserError(f"class_target {class_target!r} means nothing where {why}; use 'label'")
        if with_background and token_labels == 'image' and self.head.dense_weight:
            raise UserError(
                f'num_token_classes {self.head.num_token_classes} of the head has a background, '
                "which labels of images have not; set it to num_classes, or token_labels='maps'"
            )
        self.token_labels = token_labels
        self.class_target = class_target

    def loss(self, inputs: Tensor, data_samples: list[DataSample]) -> dict[str, Tensor]:
        """The losses of class and patch tokens, of mixed images in training.

        Args:
            inputs: Images, (B, C, height, width).
            data_samples: Their labels and, with maps, `token_label` and what belongs to it.

        Returns:
            As of `TokenLabelHead.losses`.
        """
        batch, _, height, width = inputs.shape
        size = self.backbone.patch_size
        grid = -(-height // size), -(-width // size)
        if self.mixer is not None and self.training:
            mixed = self.mixer.mix(inputs)
        else:
            own = inputs.new_zeros(batch, *grid, dtype=torch.bool)
            mixed = Mixed(inputs, own, inputs.new_ones(batch), pasted=False)
        return self.mixed_loss(mixed, *self.targets(data_samples, grid))

    def targets(
        self, data_samples: list[DataSample], grid: tuple[int, int]
    ) -> tuple[Tensor, Tensor | None]:
        """What class and patch tokens are to be, before images are mixed.

        Args:
            data_samples: As of `loss`.
            grid: (H, W).

        Returns:
            (B, K), and (B, H·W, K′) or, where patches are not trained, None.
        """
        labels = self.class_target != 'maps' or self.token_labels == 'image'
        scores = self._scores(data_samples) if labels else None
        head = self.head
        if self.token_labels == 'image':
            if not head.dense_weight:
                return scores, None
            # (B, K) → (B, 1, K) → (B, H·W, K)
            return scores, scores[:, None].expand(-1, grid[0] * grid[1], -1)
        if self.class_target == 'label' and not head.dense_weight:
            return scores, None
        span = tuple(side * self.backbone.patch_size for side in grid)
        maps = maps_of(data_samples, span, REMEDY)
        whole, patches = patch_targets(maps, grid, head.num_token_classes)
        if self.class_target == 'maps':
            scores = whole
        elif self.class_target == 'blend':
            scores = blend(whole, scores)
        return scores, patches if head.dense_weight else None

    def mixed_loss(
        self, mixed: Mixed, scores: Tensor, token_scores: Tensor | None = None
    ) -> dict[str, Tensor]:
        """The losses of images that are mixed already.

        Args:
            mixed: The mixed batch.
            scores: Targets of the images before they were mixed, (B, K).
            token_scores: Those of their patches, (B, H·W, K′), or None.

        Returns:
            As of `TokenLabelHead.losses`.
        """
        feats, weights = self.align(mixed)
        cls, patches = self.head.classify(feats)
        target = torch.lerp(scores.flip(0), scores, weights)
        if patches is not None:
            token_scores = self._move(mixed, token_scores)
        return self.head.losses(cls, target, patches, token_scores)

    def _move(self, mixed: Mixed, token_scores: Tensor) -> Tensor:
        """Targets where the tokens are that they are of, (B, H′·W′, K′) of the last grid.

        The released code takes the tokens' scores back to their images instead; the pairs of scores
        and targets are the same.
        """
        if mixed.pasted:
            # (B, H, W) → (B, H·W, 1)
            swapped = mixed.mask.flatten(1).unsqueeze(-1)
            token_scores = torch.where(swapped, token_scores.flip(0), token_scores)
        if not self.backbone.pools:
            return token_scores
        # Pools leave auxiliary tokens alone; here there are none.
        return self.backbone.pool_trace(token_scores, tuple(mixed.mask.shape[1:]), -1)

    def _read(self, trace: Tensor) -> Tensor:
        num_aux = self.backbone.num_aux_tokens
        return trace[:, :1] if num_aux else trace.mean(dim=1, keepdim=True)

    def _check_outputs(self) -> None:
        backbone, head = self.backbone, self.head
        if not isinstance(head, TokenLabelHead):
            raise UserError(
                f'head {type(head).__name__} scores no patches; '
                'TokenLabelClassifier takes a TokenLabelHead'
            )
        if backbone.out_type != 'raw' or self.with_neck:
            raise UserError(
                f'out_type {backbone.out_type!r} of the backbone '
                f'{"with a neck " if self.with_neck else ""}'
                "gives TokenLabelHead no tokens; set out_type='raw' and no neck"
            )
        if head.num_aux_tokens != backbone.num_aux_tokens:
            raise UserError(
                f'num_aux_tokens {head.num_aux_tokens} of the head is not the '
                f'{backbone.num_aux_tokens} of the backbone; make them equal'
            )

    def _check_loss(self) -> None:
        """Its losses take soft targets."""


def blend(maps: Tensor, labels: Tensor) -> Tensor:
    """Targets between what the maps and what the labels say (released `--ground-truth`).

    The weight of the maps is 0.5 where both have the same largest class and 0.9 where not: in the
    released code; its comment says the contrary.

    Args:
        maps: (B, K).
        labels: (B, K).

    Returns:
        (B, K).
    """
    agree = maps.argmax(dim=1, keepdim=True) == labels.argmax(dim=1, keepdim=True)
    return torch.lerp(labels, maps, 0.9 - 0.4 * agree.to(maps.dtype))


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UserError(
            f'{name} {value!r} is unknown; use one of {choices}{near_miss(value, choices)}'
        )
