"""A mmpretrain classifier that trains with images mixed in whole patches."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from mmpretrain.models import ClsHead, DeiTClsHead, GlobalAveragePooling, ImageClassifier
from mmpretrain.models.utils.batch_augments import Mixup
from mmpretrain.registry import BATCH_AUGMENTS
from mmpretrain.structures import DataSample
from torch import Tensor

from mmtoken.errors import UserError, near_miss
from mmtoken.vit.building import check_keys, complete
from mmtoken.vit.token_backbone import TokenBackbone

from .mixed import Mixed
from .patch_mix import PatchMix
from .target_rules import TARGET_RULES

# A config of `mix` that changes nothing of `default_mix`.
UNCHANGED: dict = {}


class MixedClassifier(ImageClassifier):
    """mmpretrain's `ImageClassifier`, trained with mixed images and targets that know whose each
    patch is; `default_mix` and `default_target` are a method's.

    In training, `loss` mixes the batch and asks the backbone for the trace besides the features;
    no gradient flows through it. Everything else, evaluation included, is `ImageClassifier`. The
    head's loss takes the target as soft labels, and smooths it as it smooths any, which is exact
    because labels keep summing to 1. Batch augments of `train_cfg` come before; they may not mix.

    A class-token head takes the class token's weight, a head over the mean of the patches the mean
    of theirs. `DeiTClsHead` scores class and distillation token, each with its own weight here; as
    it averages the two scores, so the two losses are averaged (our design: mmpretrain cannot train
    it, and the released codes have no distillation token).

    Args:
        *args: As of `ImageClassifier`.
        mix: Config of a `PatchMix`, such as `PatchCutMix` or `MixToken`, whose patch size is the
            backbone's by default; one without a type changes the arguments of `default_mix`. None
            never mixes.
        target: 'tl_align', 'transmix' or 'cutmix'; `default_target` by default.
        **kwargs: As of `ImageClassifier`.

    Raises:
        UserError: If the backbone is neither of the `TokenViT` family nor a pyramid, or it, the
            head, the mix or the target do not fit together; the message names what does not.
    """

    default_mix = dict(type='PatchCutMix')
    default_target = 'cutmix'

    def __init__(
        self,
        *args,
        mix: dict | None = UNCHANGED,
        target: str | None = None,
        **kwargs,
    ) -> None:
        target = target or self.default_target
        super().__init__(*args, **kwargs)
        if target not in TARGET_RULES:
            raise UserError(
                f'target {target!r} is unknown; use one of {sorted(TARGET_RULES)}'
                f'{near_miss(target, TARGET_RULES)}'
            )
        self.rule = TARGET_RULES[target]()
        self._check_model()
        self.mixer = None
        if mix is not None:
            self._check_loss()
            self._check_augments()
            self.mixer = self._build_mixer(mix)

    def forward(
        self,
        inputs: Tensor,
        data_samples: list[DataSample] | None = None,
        mode: str = 'tensor',
    ):
        """As `ImageClassifier.forward`.

        Raises:
            UserError: If the backbone cannot take the images.
        """
        channels = self.backbone.in_channels
        fits = inputs.ndim == 4 and inputs.shape[1] == channels and 0 not in inputs.shape
        if not (fits and inputs.is_floating_point()):
            raise UserError(
                f'images of shape {tuple(inputs.shape)} and type {inputs.dtype} '
                'do not fit the backbone; '
                f'expected (B, {channels}, height, width) of a floating-point type: '
                'correct the pipeline or in_channels'
            )
        return super().forward(inputs, data_samples, mode)

    def loss(self, inputs: Tensor, data_samples: list[DataSample]) -> dict[str, Tensor]:
        """The head's loss of the mixed batch in training, of the batch itself in evaluation mode.

        Args:
            inputs: Images, (B, C, height, width).
            data_samples: Their labels, `gt_label` or `gt_score`.

        Returns:
            `dict(loss=…)`.
        """
        if self.mixer is None or not self.training:
            return super().loss(inputs, data_samples)
        return self.mixed_loss(self.mixer.mix(inputs), self._scores(data_samples))

    def mixed_loss(self, mixed: Mixed, scores: Tensor) -> dict[str, Tensor]:
        """The head's loss of images that are mixed already.

        Args:
            mixed: The mixed batch.
            scores: Labels of the images before they were mixed, (B, K).

        Returns:
            `dict(loss=…)`.
        """
        feats, weights = self.align(mixed)
        losses = [
            self.head.loss_module(score, target, avg_factor=len(target))
            for score, target in zip(self._classify(feats), targets(scores, weights), strict=True)
        ]
        return dict(loss=sum(losses) / len(losses))

    def align(self, mixed: Mixed) -> tuple[tuple, Tensor]:
        """Features of mixed images and the weights of their own labels.

        Args:
            mixed: The mixed batch.

        Returns:
            What the head takes, and w of each of the T tokens (or means of tokens) that it
            classifies, (B, T).
        """
        start = self.rule.start(mixed, self.backbone.num_aux_tokens) if mixed.pasted else None
        if start is None:
            feats = self.backbone(mixed.images, swap=mixed.swap)
            weights = mixed.lam[:, None]
        else:
            grid = tuple(mixed.mask.shape[1:])
            start = self.backbone.pool_trace(start, grid, self.rule.trace_from)
            feats, trace = self.backbone(
                mixed.images, start, self.rule.trace_from, self.rule.exact_trace, mixed.swap
            )
            weights = self.rule.own_weight(mixed, start, trace, self._read).detach()
        count = 2 if isinstance(self.head, DeiTClsHead) else 1
        return self.neck(feats) if self.with_neck else feats, weights.expand(-1, count)

    def _read(self, trace: Tensor) -> Tensor:
        """What the classified outputs see of the tokens: (B, A + H·W, M) → (B, T, M)."""
        if self.backbone.out_type == 'cls_token':
            return trace[:, : 2 if isinstance(self.head, DeiTClsHead) else 1]
        return trace[:, self.backbone.num_aux_tokens :].mean(dim=1, keepdim=True)

    def _classify(self, feats: tuple) -> tuple[Tensor, ...]:
        """The T scores, (B, K) each."""
        if not isinstance(self.head, DeiTClsHead):
            return (self.head(feats),)
        cls, dist = self.head.pre_logits(feats)
        return self.head.layers.head(cls), self.head.layers.head_dist(dist)

    def _scores(self, data_samples: list[DataSample]) -> Tensor:
        """The labels as scores, (B, K)."""
        if 'gt_score' in data_samples[0]:
            return torch.stack([sample.gt_score for sample in data_samples]).float()
        labels = torch.cat([sample.gt_label for sample in data_samples])
        return F.one_hot(labels, self.head.num_classes).float()

    def _build_mixer(self, mix: dict) -> PatchMix:
        mix, patch_size = complete(mix, self.default_mix), self.backbone.patch_size
        kind = mix['type']
        kind = BATCH_AUGMENTS.get(kind) if isinstance(kind, str) else kind
        if not (isinstance(kind, type) and issubclass(kind, PatchMix)):
            raise UserError(
                f'mix of type {mix["type"]!r} does not say whose each patch is; '
                "use type='PatchCutMix', or mix=None and the others in train_cfg.augments"
            )
        check_keys('mix', kind, mix)
        mixer = BATCH_AUGMENTS.build({'patch_size': patch_size, **mix})
        if mixer.patch_size != patch_size:
            raise UserError(
                f'patch_size {mixer.patch_size} of mix is not the {patch_size} of the backbone, '
                'whose tokens would hold two images; leave it out'
            )
        return mixer

    def _check_augments(self) -> None:
        """Refuse batch augments that mix images before `mix` does."""
        augments = getattr(self.data_preprocessor, 'batch_augments', None)
        # mmpretrain's CutMix and ResizeMix are kinds of its Mixup.
        mixing = [
            type(augment).__name__
            for augment in getattr(augments, 'augments', ())
            if isinstance(augment, (Mixup, PatchMix))
        ]
        if mixing:
            raise UserError(
                f'train_cfg.augments has {" and ".join(mixing)} beside mix, so that tokens would '
                'hold two images before labels follow them; set train_cfg=dict(augments=None), or '
                'mix=None'
            )

    def _check_loss(self) -> None:
        """Refuse a head whose loss is more than its loss module of scores and soft labels."""
        head = self.head
        if not hasattr(head, 'num_classes'):
            raise UserError(
                f'head {None if head is None else type(head).__name__} '
                'has no num_classes to mix labels of; '
                'use one that has, such as VisionTransformerClsHead, or mix=None'
            )
        if any(
            getattr(type(head), name, None) is not getattr(ClsHead, name)
            for name in ('loss', '_get_loss')
        ):
            raise UserError(
                f'head {type(head).__name__} has a loss of its own, '
                'which mixed labels would pass by; '
                'use one with that of ClsHead, such as VisionTransformerClsHead, or mix=None'
            )
        if head.cal_acc:
            raise UserError(
                'cal_acc of the head means nothing for mixed labels; leave it out, or mix=None'
            )

    def _check_model(self) -> None:
        backbone = self.backbone
        if not isinstance(backbone, TokenBackbone):
            raise UserError(
                f'backbone {type(backbone).__name__} carries no labels; '
                f'{type(self).__name__} takes the TokenViT family, such as TokenViT or LIFEViT, '
                'and pyramids, such as Swin'
            )
        if self.rule.follows_attention and not backbone.has_attention:
            raise UserError(
                f'backbone {type(backbone).__name__} mixes tokens without attention, which this '
                "target follows; use target='cutmix', or a backbone that attends"
            )
        if backbone.out_indices[-1] != max(backbone.out_indices):
            # A pyramid's are of stages.
            indices = getattr(backbone, 'out_stages', backbone.out_indices)
            raise UserError(
                f'out_indices {indices} end with another layer than the deepest, '
                'whose labels are the aligned ones; put it last'
            )
        self._check_outputs()

    def _check_outputs(self) -> None:
        """Refuse a head that does not fit what the backbone returns."""
        backbone, head = self.backbone, self.head
        pooled = backbone.out_type == 'avg_featmap' or (
            backbone.out_type == 'featmap' and isinstance(self.neck, GlobalAveragePooling)
        )
        if not pooled and backbone.out_type != 'cls_token':
            raise UserError(
                f'out_type {backbone.out_type!r} of the backbone '
                'leaves open which tokens are classified; '
                "use 'cls_token', 'avg_featmap', or 'featmap' with the neck GlobalAveragePooling"
            )
        paired = backbone.out_type == 'cls_token' and backbone.num_class_tokens > 1
        if paired != isinstance(head, DeiTClsHead):
            raise UserError(
                f'head {type(head).__name__} does not fit num_aux_tokens '
                f'{backbone.num_aux_tokens} and out_type {backbone.out_type!r}; DeiTClsHead '
                'takes class and distillation token, other heads one output'
            )


def targets(scores: Tensor, weights: Tensor) -> Tensor:
    """w·e(y) + (1 − w)·e(y′) of every classified output, y′ the label of the flipped batch.

    Args:
        scores: e(y), (B, K).
        weights: w, (B, T).

    Returns:
        (T, B, K); exactly e(y) where y = y′.
    """
    return torch.lerp(scores.flip(0), scores, weights.T.unsqueeze(-1))
