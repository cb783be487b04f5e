"""A head that scores an image and every patch of it."""

from __future__ import annotations

from collections.abc import Sequence

from mmengine.model.weight_init import trunc_normal_
from mmpretrain.models import ClsHead
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmtoken.checks import check_number, check_whole
from mmtoken.errors import UserError

CROSS_ENTROPY = dict(type='CrossEntropyLoss', use_soft=True)


@MODELS.register_module()
class TokenLabelHead(ClsHead):
    """One linear map for the class token and another for all patch tokens (LV-ViT, arXiv
    2104.10858; released code).

    It takes what the backbone returns as `out_type='raw'`. An image's scores are the class token's
    plus `aux_weight` of the largest that any patch has for each class.

    Args:
        num_classes: K.
        in_channels: C.
        num_aux_tokens: A, as the backbone's; where it is 0, the mean of the patches takes the class
            token's place (our design).
        num_token_classes: K′, classes of patches: K by default, or K + 1 with the background last,
            which an image's scores leave out (our design).
        aux_weight: What the patches add to an image's scores.
        dense_weight: β, the weight of the patches' loss; the released recipe has 1, the paper 0.5.
            With 0 the patches are not trained, and add nothing to an image's scores.
        loss: Config of the loss of either; it takes soft targets.
        topk: As of `ClsHead`.
        init_cfg: As of `ClsHead`.

    Raises:
        UserError: If an argument has no meaning; the message names it.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        num_aux_tokens: int = 1,
        num_token_classes: int | None = None,
        aux_weight: float = 0.5,
        dense_weight: float = 1.0,
        loss: dict = CROSS_ENTROPY,
        topk: int | Sequence[int] = (1,),
        init_cfg: dict | list | None = None,
    ) -> None:
        # Each has its own, since the number of classes is part of some losses.
        super().__init__(loss=dict(loss), topk=topk, init_cfg=init_cfg)
        self.token_loss_module = ClsHead(loss=dict(loss)).loss_module
        check_whole('num_classes', num_classes, example=1000)
        check_whole('num_aux_tokens', num_aux_tokens, least=0, example=1)
        check_number('aux_weight', aux_weight, example=0.5)
        check_number('dense_weight', dense_weight)
        num_token_classes = num_classes if num_token_classes is None else num_token_classes
        if num_token_classes - num_classes not in (0, 1):
            raise UserError(
                f'num_token_classes {num_token_classes} is neither num_classes {num_classes} nor '
                'one more for the background; use one of them'
            )
        self.num_classes = num_classes
        self.num_token_classes = num_token_classes
        self.num_aux_tokens = num_aux_tokens
        self.aux_weight = aux_weight
        self.dense_weight = dense_weight
        self.layers = nn.ModuleDict({'head': nn.Linear(in_channels, num_classes)})
        if dense_weight:
            self.layers['aux_head'] = nn.Linear(in_channels, num_token_classes)
        for layer in self.layers.values():
            trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def classify(self, feats: tuple[Tensor, ...]) -> tuple[Tensor, Tensor | None]:
        """Score the image and its patches.

        Args:
            feats: Outputs of the backbone, the last of them (B, A + H·W, C).

        Returns:
            (B, K), and (B, H·W, K′) or, where patches are not trained, None.
        """
        x = self.pre_logits(feats)
        patches = x[:, self.num_aux_tokens :]
        cls = x[:, 0] if self.num_aux_tokens else patches.mean(dim=1)
        aux = self.layers['aux_head'](patches) if self.dense_weight else None
        return self.layers['head'](cls), aux

    def forward(self, feats: tuple[Tensor, ...]) -> Tensor:
        """The scores of images, (B, K): head(class token) + aux_weight · max over patches."""
        scores, patches = self.classify(feats)
        if patches is None:
            return scores
        return scores + self.aux_weight * patches[..., : self.num_classes].amax(dim=1)

    def position_scores(self, x: Tensor) -> Tensor:
        """Scores of single positions by what was trained on patches, (n, C) → (n, K)."""
        layer = self.layers['aux_head' if self.dense_weight else 'head']
        return layer(x)[:, : self.num_classes]

    def losses(
        self,
        scores: Tensor,
        target: Tensor,
        token_scores: Tensor | None,
        token_target: Tensor | None,
    ) -> dict[str, Tensor]:
        """The loss of the class tokens and β times the mean loss of all patches.

        Args:
            scores: (B, K).
            target: (B, K), summing to 1.
            token_scores: (B, H·W, K′), or None.
            token_target: (B, H·W, K′), summing to 1; or None.

        Returns:
            `loss_cls` and, with patches, `loss_token`.
        """
        losses = dict(loss_cls=self.loss_module(scores, target, avg_factor=len(target)))
        if token_scores is not None:
            # (B, H·W, K′) → (B·H·W, K′)
            token_scores, token_target = token_scores.flatten(0, 1), token_target.flatten(0, 1)
            loss = self.token_loss_module(token_scores, token_target, avg_factor=len(token_target))
            losses['loss_token'] = self.dense_weight * loss
        return losses

    def loss(self, feats: tuple[Tensor, ...], data_samples: Sequence, **_) -> dict[str, Tensor]:
        """Refuse to train without labels of patches.

        Raises:
            UserError: Always; `TokenLabelClassifier` has the labels.
        """
        raise UserError(
            'TokenLabelHead does not know the labels of patches; train it in a TokenLabelClassifier'
        )
