"""Log where the model looked, during validation."""

from __future__ import annotations

import logging

import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmpretrain.registry import HOOKS

from mmtoken.errors import UserError

from .capture import family_model
from .dense_rollout import class_names, dense_rollout
from .file_names import file_names
from .overlay import overlay
from .token_sets import WEIGHTS


@HOOKS.register_module()
class DenseRolloutHook(Hook):
    """Log the class maps of the first validation images to the run's visualizer, and so to its
    files, TensorBoard or whatever other backends it has (our design).

    Each map is painted over the image and named ``rollout_<image>_<class>``. An image that cannot
    be rolled out does not end the run: the first such is logged as a warning.

    Args:
        images: How many, of each validation.
        max_classes: How many classes of an image, those predicted with the lowest index first.
        interval: Validations from one logging to the next.
        weights: 'hard' or 'soft', as of `dense_rollout`.
        score_threshold: Detections below it do not count.

    Raises:
        UserError: If an argument has no meaning; before training or validation, if the model's
            backbone is none of the family, or it is validated in sliding windows.
    """

    priority = 'LOW'

    def __init__(
        self,
        images: int = 4,
        max_classes: int = 8,
        interval: int = 1,
        weights: str = 'hard',
        score_threshold: float = 0.3,
    ) -> None:
        for name, value in (('images', images), ('max_classes', max_classes)):
            if value < 1:
                raise UserError(f'DenseRolloutHook: {name} {value} logs nothing; give 1 or more')
        if interval < 1:
            raise UserError(f'DenseRolloutHook: interval {interval} is not 1 or more')
        if weights not in WEIGHTS:
            raise UserError(f'DenseRolloutHook: weights {weights!r} is unknown; use {WEIGHTS}')
        self.images = images
        self.max_classes = max_classes
        self.interval = interval
        self.options = dict(weights=weights, score_threshold=score_threshold)
        self.validations = self.logged = 0
        self.warned = False

    def before_train(self, runner) -> None:
        """Refuse a model that cannot be rolled out, before time is spent on it."""
        model = family_model(runner.model)
        if (getattr(model, 'test_cfg', None) or {}).get('mode') == 'slide':
            raise UserError(
                "DenseRolloutHook: model.test_cfg.mode='slide' runs the backbone several times an "
                'image, and a roll-out needs one run; '
                'set model.test_cfg.mode=whole or leave the hook out'
            )

    # Validation alone has no training before it.
    before_val = before_train

    def before_val_epoch(self, runner) -> None:
        """Count the validation, and start with its first image."""
        self.validations += 1
        self.logged = 0

    @master_only
    def after_val_iter(self, runner, batch_idx: int, data_batch: dict = None, outputs=None) -> None:
        """Log the maps of a batch's images, while there are some to log."""
        if (self.validations - 1) % self.interval:
            return
        count = min(len(data_batch['inputs']), self.images - self.logged)
        for index in range(count):
            single = {
                name: data_batch[name][index : index + 1] for name in ('inputs', 'data_samples')
            }
            try:
                self._log(runner, single)
            except (UserError, torch.OutOfMemoryError) as error:
                self._warn(error)
            self.logged += 1

    def _log(self, runner, data: dict) -> None:
        maps = dense_rollout(runner.model, data, **self.options)
        model = maps.capture.model
        meta = getattr(runner.visualizer, 'dataset_meta', None) or {}
        names = file_names(class_names(model) or meta.get('classes') or ())
        for label in list(maps)[: self.max_classes]:
            name = names[label] if label < len(names) else str(label)
            picture = overlay(maps[label], maps.capture)
            runner.visualizer.add_image(f'rollout_{self.logged}_{name}', picture, runner.iter)

    def _warn(self, error: Exception) -> None:
        if not self.warned:
            print_log(
                f'DenseRolloutHook: an image is left out, and others like it: {error}',
                logger='current',
                level=logging.WARNING,
            )
        self.warned = True
