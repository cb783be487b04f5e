"""When which calibration losses act, and where the rules of the classes come from."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path

from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop, Runner
from mmpretrain.registry import DATASETS, HOOKS
from torch import Tensor

from mmtoken.checks import check_whole
from mmtoken.errors import UserError
from mmtoken.runtime.bad_data.contents import Expected
from mmtoken.runtime.bad_data.samples import WatchedLoading, base_datasets
from mmtoken.unwrap import unwrap

from .calibrated_classifier import CalibratedClassifier
from .class_report import report_rules
from .class_rules import ClassMeans, Collection, collect_once
from .stages import checked_stages, tell_of_missing_maps, tell_of_mixing

# What a checkpoint of a run that goes on has beside the weights.
KEY = 'calibration'
# Steps after which a loss that acted on no image is told.
PATIENCE = 100


@HOOKS.register_module()
class CalibrationHook(Hook):
    """Switch the losses of a `CalibratedClassifier` on and off as a training goes on.

    Where a stage has a loss that wants rules of the classes, they are collected when it begins,
    from the training images as they are tested, without augmentation: those that are classified
    correctly with the greatest confidence. They are kept in `calibration/` of the work folder by a
    digest of the weights, and in checkpoints, so that a resumed run goes on with its own. How many
    dimensions each class rests on, and which classes are left uncalibrated, is in
    `calibration/classes.json` there. A loss that acts on no image for 100 steps is told.

    Args:
        stages: In their order, dicts with `losses`, names of `calibration` of the model that act
            (none: the blank control), and `begin`, the epoch from 0 (or iteration) that it starts
            with, 0 by default. Before the first one nothing acts. Two stages of ten epochs:
            `[dict(losses=['token']), dict(begin=10, losses=['dimension'])]`.
        by_epoch: Whether `begin` counts epochs or iterations.
        samples: Images of each class that its rule is made of.
        fewest: Least number of them; a class with fewer correct images is left uncalibrated and
            listed.
        dataset: Config of the data set that they are taken from; by default that of training, with
            the pipeline of testing.

    Raises:
        UserError: If the stages are none, or the model is no `CalibratedClassifier`.
    """

    def __init__(
        self,
        stages: Sequence[Mapping],
        by_epoch: bool = True,
        samples: int = 50,
        fewest: int = 10,
        dataset: dict | None = None,
    ) -> None:
        check_whole('samples', samples, example=50)
        check_whole('fewest', fewest, example=10)
        if fewest > samples:
            raise UserError(
                f'fewest {fewest} is more than samples {samples}, so that no class had enough '
                'images; make it smaller'
            )
        self.stages = checked_stages(stages)
        self.by_epoch = by_epoch
        self.samples = samples
        self.fewest = fewest
        self.dataset = dataset
        self.current = -1
        self.means: ClassMeans | None = None
        self._restored: dict | None = None
        self._told: set[str] = set()

    def before_train(self, runner: Runner) -> None:
        """Check the model against the stages, and go on where a resumed run was."""
        model = self._model(runner)
        for stage in self.stages:
            model.set_active(stage['losses'])
        model.set_active(())
        self._check_length(runner)
        unit = 'epoch' if self.by_epoch else 'iteration'
        tell_of_mixing(runner, model, self.stages, unit)
        tell_of_missing_maps(runner, model, self.stages, unit)
        restored, self._restored = self._restored, None
        if restored is None:
            return
        self.current = restored['stage']
        if restored['frozen'] is not None and model.foreground is not None:
            model.foreground.remember(model)
        frozen = getattr(model.foreground, 'frozen', None)
        # Those that had begun; checkpoints of before did not say them.
        begun, own = slice(self.current + 1), self._described()
        others = restored.get('stages', own)[begun] != own[begun]
        if (
            others
            or self.current >= len(self.stages)
            or (frozen is None) != (restored['frozen'] is None)
        ):
            raise UserError(
                f'the checkpoint that is resumed is in calibration stage {self.current + 1}, of '
                'other stages or with another foreground than the config has; resume it with the '
                'config that it is of, or begin from its weights with load_from'
            )
        if frozen is not None:
            frozen.load_state_dict(restored['frozen'])
        if self.current >= 0:
            model.set_active(self.stages[self.current]['losses'])
        if restored['means'] is not None:
            device = next(model.parameters()).device
            tensors = {key: t.to(device) for key, t in restored['means'].items()}
            self._use(runner, ClassMeans.of_tensors(tensors))

    def before_train_epoch(self, runner: Runner) -> None:
        """Enter the next stage where it is its epoch."""
        if self.by_epoch:
            self._enter(runner, runner.epoch)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch=None) -> None:
        """Enter the next stage where it is its iteration."""
        if not self.by_epoch:
            self._enter(runner, runner.iter)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Put what a resumed run needs into a checkpoint."""
        frozen = getattr(self._model(runner).foreground, 'frozen', None)
        checkpoint[KEY] = dict(
            stage=self.current,
            stages=self._described(),
            means=None if self.means is None else _on_cpu(self.means.tensors()),
            frozen=None if frozen is None else _on_cpu(frozen.state_dict()),
        )

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take it out again, where the run is resumed and not begun from another's weights."""
        if not runner._resume:
            return
        if KEY not in checkpoint:
            raise UserError(
                'the checkpoint that is resumed has no calibration in it: it is of a training '
                'without CalibrationHook; begin from its weights with load_from instead'
            )
        self._restored = checkpoint[KEY]

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch=None, outputs=None
    ) -> None:
        """Tell of a loss that has acted on no image for a while."""
        if self.current < 0 or not self.every_n_train_iters(runner, PATIENCE):
            return
        for name in self.stages[self.current]['losses']:
            key = f'train/{name}_images'
            history = runner.message_hub.log_scalars.get(key)
            if name in self._told or history is None or len(history.data[0]) < PATIENCE:
                continue
            if history.mean(PATIENCE) > 0:
                continue
            self._told.add(name)
            why = (
                'the foreground is known of none: look at the label maps, or, with '
                'AutomaticForeground, at how sure the model is of augmented images'
                if self._model(runner).calibration[name].needs_foreground
                else 'no class of its images has a rule, or no gradient reaches where it looks'
            )
            runner.logger.warning(
                # mmengine logs the same warning once.
                f'calibration.{name} has acted on no image in {PATIENCE} steps of stage '
                f'{self.current + 1}, and its 0 is no success; {why}'
            )

    def _described(self) -> list:
        """The stages, as a checkpoint has them."""
        unit = 'epoch' if self.by_epoch else 'iteration'
        return [[unit, stage['begin'], *stage['losses']] for stage in self.stages]

    def _enter(self, runner: Runner, now: int) -> None:
        begun = [index for index, stage in enumerate(self.stages) if stage['begin'] <= now]
        if not begun or begun[-1] == self.current:
            return
        model = self._model(runner)
        if self.current < 0 and model.foreground is not None:
            # What it is before it is calibrated, which may be after an ordinary training.
            model.foreground.remember(model)
        self.current, self._told = begun[-1], set()
        names = self.stages[self.current]['losses']
        later = {name for stage in self.stages[self.current :] for name in stage['losses']}
        if model.foreground is not None and not any(
            model.calibration[name].needs_foreground for name in later
        ):
            model.foreground.forget()
        unit = 'epoch' if self.by_epoch else 'iteration'
        acting = ', '.join(names) or 'none'
        runner.logger.info(
            f'calibration stage {self.current + 1} of {len(self.stages)} begins with {unit} {now}; '
            f'losses beside that of the head: {acting}'
        )
        wanting = [name for name in names if model.calibration[name].needs_rules]
        self.means = None
        if wanting:
            folder = Path(runner.work_dir) / 'calibration'
            self._use(runner, collect_once(model, wanting, self._collection(runner), folder))
        model.set_active(names)
        # What is not computed any more would be logged with its last value.
        for key in list(runner.message_hub.log_scalars):
            if key.startswith('train/loss') or key.endswith('_images') or 'foreground_share' in key:
                del runner.message_hub.log_scalars[key]
                # What a checkpoint says was there, a resumed run looks for.
                runner.message_hub._resumed_keys.pop(key, None)

    def _use(self, runner: Runner, means: ClassMeans) -> None:
        """Let rules be made of what was collected, and say what they are like."""
        self.means = means
        model, counted = self._model(runner), means.counts >= self.fewest
        for name, layers in means.means.items():
            model.calibration[name].set_rules(layers, counted)
        report_rules(runner, model, means, self.fewest)

    def _check_length(self, runner: Runner) -> None:
        """Refuse epochs that a loop does not count, and say which stages a training ends before."""
        loop, last = runner.train_loop, self.stages[-1]['begin']
        counts_epochs = isinstance(loop, EpochBasedTrainLoop)
        if self.by_epoch and not counts_epochs and last > 0:
            raise UserError(
                f'stages begin with epochs, such as {last}, and {type(loop).__name__} counts '
                'iterations; set by_epoch=False of CalibrationHook, and begin to iterations'
            )
        end = loop.max_epochs if self.by_epoch and counts_epochs else loop.max_iters
        if last >= end:
            unit = 'epoch' if self.by_epoch else 'iteration'
            runner.logger.warning(
                f'the last calibration stage would begin with {unit} {last}, and the training ends '
                f'before, after {end}'
            )

    def _collection(self, runner: Runner) -> Collection:
        loader = runner.cfg.train_dataloader
        return Collection(
            self._images(runner),
            self.samples,
            loader.get('batch_size', 32),
            loader.get('num_workers', 0),
            runner.logger.info,
            self._setting(runner),
        )

    def _setting(self, runner: Runner) -> str:
        """What decides what is collected, besides weights: options, and which images."""
        model = copy.deepcopy(runner.cfg.get('model') or {})
        for own in ('calibration', 'foreground', 'images', 'init_cfg'):
            model.pop(own, None)
        loader = runner.cfg.get('train_dataloader') or {}
        images = self.dataset or loader.get('dataset')
        return str((model, runner.cfg.get('data_preprocessor'), images))

    def _images(self, runner: Runner):
        """The images, of which one that cannot be read is named."""
        images, expected = self._built(runner), Expected.of(self._model(runner))
        for number, dataset in enumerate(base_datasets(images)):
            dataset.prepare_data = WatchedLoading(
                dataset, number, 'CalibrationHook', None, expected, strict=True
            )
        return images

    def _built(self, runner: Runner):
        if self.dataset is not None:
            given = DATASETS.build(self.dataset)
            if not all(dataset.pipeline.transforms for dataset in base_datasets(given)):
                raise UserError(
                    f'dataset {self.dataset!r} of CalibrationHook has no pipeline, so that its '
                    'images are not loaded; give it that of testing'
                )
            return given
        cfg = copy.deepcopy(runner.cfg.train_dataloader.dataset)
        tested = runner.cfg.get('test_dataloader') or runner.cfg.get('val_dataloader') or {}
        pipeline = tested.get('dataset', {}).get('pipeline')
        if pipeline is None or 'pipeline' not in cfg:
            raise UserError(
                'CalibrationHook cannot see how training images are tested, since '
                'train_dataloader.dataset or test_dataloader.dataset has no pipeline of its own; '
                'give it a dataset'
            )
        cfg.pipeline = pipeline
        return DATASETS.build(cfg)

    def _model(self, runner: Runner) -> CalibratedClassifier:
        model = unwrap(runner.model)
        if not isinstance(model, CalibratedClassifier):
            raise UserError(
                f'{type(model).__name__} has no losses to switch; CalibrationHook wants a '
                "CalibratedClassifier: set model.type='CalibratedClassifier', or leave the hook out"
            )
        return model


def _on_cpu(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
