"""A mmpretrain classifier that is trained on what its decisions rest on."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from mmpretrain.models import ClsHead, DeiTClsHead, ImageClassifier
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmtoken.checks import check_number
from mmtoken.errors import UserError, near_miss
from mmtoken.tokens import Tokens
from mmtoken.vit import TokenViT

from .calibration_loss import CalibrationLoss, Case, Judgment, RuleLoss
from .cases import cases_of, evidence_by_score, places_of
from .evidence import first_layer, run_watched
from .foreground import Foreground, ForegroundSource, features_of


@MODELS.register_module()
class CalibratedClassifier(ImageClassifier):
    """mmpretrain's `ImageClassifier`, whose decisions can be calibrated: trained to rest on the
    foreground, and on few dimensions for each class (ViT-Calibrator, arXiv 2304.04354; the formulas
    are our design, `losses.py`).

    `CalibrationHook` says when which losses act. Without one that acts, and in everything but
    training, this is `ImageClassifier`; its weights are those of an ordinary classifier.

    Losses differentiate gradients. Only the layers from the first one that a loss looks at, and
    only images that it is meant for, take part in that; all others use the fused attention.
    Recomputed layers (`with_cp`) are those before.

    Args:
        *args: As of `ImageClassifier`; the backbone is of the `TokenViT` family, with one output.
        calibration: Configs of losses, `TokenPropagation` and others, by the names that
            `CalibrationHook` calls them.
        foreground: Config of what says where the foreground is, `SuppliedForeground` or
            `AutomaticForeground`; None where no loss wants to know.
        images: Share of each batch that is calibrated, its first images; all are classified.
        **kwargs: As of `ImageClassifier`.

    Raises:
        UserError: If the parts do not fit together; the message names what does not.
    """

    def __init__(
        self,
        *args,
        calibration: Mapping[str, dict],
        foreground: dict | None = None,
        images: float = 1.0,
        **kwargs,
    ) -> None:
        super().__init__(*args, **kwargs)
        check_number('images', images, above=0)
        if images > 1:
            raise UserError(f'images {images} is no share of a batch; use one above 0 and up to 1')
        self.images = images
        self._check_model()
        if not isinstance(calibration, Mapping) or not calibration:
            raise UserError(
                f'calibration {calibration!r} names no loss; use a dict, such as '
                "dict(token=dict(type='TokenPropagation'))"
            )
        for name, cfg in calibration.items():
            _check_named(name, cfg)
        self.calibration = nn.ModuleDict(
            {name: _build(f'calibration.{name}', cfg, CalibrationLoss, 'TokenPropagation')
             for name, cfg in calibration.items()}
        )  # fmt: skip
        for loss in self.calibration.values():
            loss.attach(self.backbone)
        self.foreground = None
        if foreground is not None:
            self.foreground = _build(
                'foreground', foreground, ForegroundSource, 'SuppliedForeground'
            )
        needing = [name for name, loss in self.calibration.items() if loss.needs_foreground]
        if needing and self.foreground is None:
            raise UserError(
                f'calibration.{needing[0]} needs to know the foreground; set foreground to '
                "dict(type='SuppliedForeground') or dict(type='AutomaticForeground')"
            )
        self.active: tuple[str, ...] | None = None

    def set_active(self, names: tuple[str, ...]) -> None:
        """Let these losses act from now on, and no others.

        Raises:
            UserError: If one is not of `calibration`.
        """
        for name in names:
            if name not in self.calibration:
                known = list(self.calibration)
                raise UserError(
                    f'loss {name!r} is not in calibration of the model, which has '
                    f'{", ".join(known)}{near_miss(name, known)}'
                )
        self.active = tuple(names)

    def loss(self, inputs: Tensor, data_samples: list[DataSample]) -> dict[str, Tensor]:
        """The head's loss, and the losses that act.

        Args:
            inputs: Images, (B, C, height, width).
            data_samples: Their labels, unmixed, and what the foreground wants.

        Returns:
            The head's, as `loss_cls` where others act, `loss_NAME` of each of these, and numbers
            for the log.

        Raises:
            UserError: If no hook has said which losses act, or labels are mixed.
        """
        if self.active is None:
            raise UserError(
                'CalibratedClassifier was never told which losses act; add '
                "dict(type='CalibrationHook', stages=[dict(losses=['token'])]) to custom_hooks"
            )
        if not self.active:
            return super().loss(inputs, data_samples)
        losses = {name: self.calibration[name] for name in self.active}
        labels = labels_of(data_samples)
        tokens = self.backbone.embed(inputs)
        count, foreground = math.ceil(self.images * len(labels)), None
        if any(loss.needs_foreground for loss in losses.values()):
            foreground = self.foreground(
                inputs[:count],
                data_samples[:count],
                labels[:count],
                tokens.grid,
                self.backbone.patch_size,
            )
        known = None if foreground is None else foreground.known
        chosen = torch.zeros_like(labels, dtype=torch.bool)
        for loss in losses.values():
            chosen[:count] |= loss.concerned(labels[:count], known)
        feats, case = self._run(tokens, labels, chosen, list(losses.values()), foreground)
        found = self.head.loss(feats, data_samples)
        # The log calls the sum of all losses so.
        found['loss_cls'] = found.pop('loss')
        for name, loss in losses.items():
            judgment = self._judge(loss, case)
            found[f'loss_{name}'] = loss.loss_weight * judgment.shared_mean()
            logs = dict(judgment.logs, images=judgment.counted.float().sum())
            found.update({f'{name}_{key}': value for key, value in logs.items()})
        return found

    @torch.no_grad()
    def statistics(
        self, inputs: Tensor, labels: Tensor, losses: list[RuleLoss]
    ) -> list[dict[int, Tensor]]:
        """What rules are made of, for each loss; as of `RuleLoss.statistics`.

        Args:
            inputs: Images as `loss` gets them.
            labels: (B,).
            losses: Of `calibration`.
        """
        places = places_of(losses)
        start = first_layer(self.backbone, places)
        tokens = self.backbone.run(self.backbone.embed(inputs), 0, start)
        with torch.enable_grad():
            left, kept = run_watched(self.backbone, tokens, start, places, False)
            scores = self.head(features_of(self, left))
            evidence = evidence_by_score(
                self.backbone, scores, kept, labels, losses, differentiable=False
            )
            return [
                {layer: found.detach() for layer, found in
                 loss.statistics(evidence[loss.score]).items()}
                for loss in losses
            ]  # fmt: skip

    def _run(
        self,
        tokens: Tokens,
        labels: Tensor,
        chosen: Tensor,
        losses: list[CalibrationLoss],
        foreground: Foreground | None,
    ) -> tuple[tuple, dict[str, Case] | None]:
        """Run the layers over embedded images, of whose first ones a foreground may be.

        Returns:
            What the head gets, of all images, and the cases of the chosen ones by kind of score;
            None where there are none.
        """
        backbone, places = self.backbone, places_of(losses)
        grid, start = tokens.grid, first_layer(backbone, places)
        tokens = backbone.run(tokens, 0, start)
        count = int(chosen.sum())
        if not count:
            return features_of(self, backbone.run(tokens, start)), None
        everyone = count == len(chosen)
        watched = tokens if everyone else tokens.with_(x=tokens.x[chosen])
        left, kept = run_watched(backbone, watched, start, places)
        with torch.autocast(tokens.x.device.type, enabled=False):
            features = features_of(self, left)
            scores = self.head(features)
            some = None if foreground is None else foreground.of(chosen[: len(foreground.known)])
            cases = cases_of(backbone, scores, kept, labels[chosen], losses, some, grid)
        if everyone:
            return features, cases
        others = tokens.with_(x=tokens.x[~chosen])
        return _merged(features, features_of(self, backbone.run(others, start)), chosen), cases

    def _judge(self, loss: CalibrationLoss, cases: dict[str, Case] | None) -> Judgment:
        if cases is not None:
            return loss(cases[loss.score])
        nothing = next(self.parameters()).new_zeros(1)
        return Judgment(nothing, nothing.bool())

    def _check_model(self) -> None:
        backbone, head = self.backbone, self.head
        if not isinstance(backbone, TokenViT):
            raise UserError(
                f'backbone {type(backbone).__name__} is no TokenViT; CalibratedClassifier takes '
                'plain ViTs alone, such as TokenViT and LIFEViT: no pyramid, and no LoRABackbone'
            )
        if not isinstance(head, ClsHead) or isinstance(head, DeiTClsHead):
            raise UserError(
                f'head {None if head is None else type(head).__name__} has not one score for each '
                'class; CalibratedClassifier takes heads such as VisionTransformerClsHead and '
                'LinearClsHead'
            )
        if len(backbone.out_indices) != 1:
            raise UserError(
                f'out_indices {backbone.out_indices} of the backbone are several outputs; '
                'CalibratedClassifier calibrates what leads to one: leave them out'
            )


def labels_of(data_samples: list[DataSample]) -> Tensor:
    """The labels of images that show one class each, (B,).

    Raises:
        UserError: If they are mixed.
    """
    if 'gt_score' not in data_samples[0]:
        return torch.cat([sample.gt_label for sample in data_samples])
    # mmpretrain makes scores of labels where batch augments are configured, even none.
    share, labels = torch.stack([sample.gt_score for sample in data_samples]).max(dim=1)
    if (share < 1).any():
        raise UserError(
            'the images of a calibrated batch are mixed, so that neither a class nor a foreground '
            'is theirs; set model.train_cfg.augments=None, or let SwitchRecipeHook set '
            'batch_augments=None when the calibration begins'
        )
    return labels


def _check_named(name: str, cfg: dict) -> None:
    """Refuse a loss that cannot be called so, or what is no config of one."""
    # mmengine adds up what the log calls a loss, and torch lets no name have a dot.
    if not isinstance(name, str) or name == 'cls' or 'loss' in name or '.' in name:
        raise UserError(
            f'calibration has a loss of the name {name!r}; call it otherwise, such as '
            "token: not 'cls', which is the head's, without 'loss' and without a dot"
        )
    if not isinstance(cfg, Mapping):
        raise UserError(
            f'calibration.{name} {cfg!r} is not the config of a loss; calibration has one by each '
            "name, such as dict(token=dict(type='TokenPropagation'))"
        )
    if not name or hasattr(nn.ModuleDict(), name):
        raise UserError(
            f'calibration has a loss of the name {name!r}, which torch has for something else; '
            'call it otherwise, such as token'
        )


def _build(name: str, cfg: dict, base: type, example: str) -> nn.Module:
    built = MODELS.build(cfg)
    if not isinstance(built, base):
        raise UserError(
            f'{name} is a {type(built).__name__}, which is no {base.__name__}; use one, such as '
            f'{example}'
        )
    return built


def _merged(chosen_feats: tuple, other_feats: tuple, chosen: Tensor) -> tuple:
    """Features of two parts of a batch, in the order of the batch."""
    # Where each image stands among first the chosen, then the others.
    order = torch.cat([chosen.nonzero().squeeze(1), (~chosen).nonzero().squeeze(1)]).argsort()
    return tuple(
        torch.cat([a, b.to(a.dtype)])[order] for a, b in zip(chosen_feats, other_feats, strict=True)
    )
