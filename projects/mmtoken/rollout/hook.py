"""Log where the model looked, during validation."""

from __future__ import annotations

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS

from mmtoken.errors import UserError

from .dense_rollout import class_names, dense_rollout
from .overlay import overlay
from .token_sets import WEIGHTS


@HOOKS.register_module()
class DenseRolloutHook(Hook):
    """Log the class maps of the first validation images to the run's visualizer, and so to its
    files, TensorBoard or whatever other backends it has (our design).

    Each map is painted over the image and named ``rollout_<image>_<class>``.

    Args:
        images: How many, of each validation.
        max_classes: How many classes of an image, those predicted with the lowest index first.
        interval: Validations from one logging to the next.
        weights: 'hard' or 'soft', as of `dense_rollout`.
        score_threshold: Detections below it do not count.

    Raises:
        UserError: If an argument has no meaning.
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
            self._log(runner, single)
            self.logged += 1

    def _log(self, runner, data: dict) -> None:
        maps = dense_rollout(runner.model, data, **self.options)
        model = maps.capture.model
        meta = getattr(runner.visualizer, 'dataset_meta', None) or {}
        names = class_names(model) or list(meta.get('classes') or ())
        for label in list(maps)[: self.max_classes]:
            name = names[label] if label < len(names) else label
            picture = overlay(maps[label], maps.capture)
            runner.visualizer.add_image(f'rollout_{self.logged}_{name}', picture, runner.iter)
