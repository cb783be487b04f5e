"""What guarding a run costs: a training step, and saving a checkpoint.

The step is one of mmengine's loop, with the hooks that every run has; the data are in memory. The
checkpoint has a ViT-S's weights and AdamW's two moments. Of asynchronous saving what is timed is
what the training waits for: until it goes on, and before its next step, for which weights must be
copied; the forward and backward pass between the two are not, nor what they lose to the writing
thread. What is still being written then has ended before anything else is timed.
"""

import atexit
import os
import shutil
import tempfile
import time
from functools import partial
from itertools import count
from pathlib import Path

from mmtoken.experiments.benchmark_rows import Preset, Ratio, Row

import torch
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner
from mmengine.runner.checkpoint import get_state_dict, weights_to_cpu
from mmpretrain.structures import DataSample
from torch import Tensor, nn
from torch.utils.data import Dataset

GUARDS = ('ExactResumeHook', 'NonFiniteHook', 'BadDataHook', 'SignalHook', 'WatchdogHook')
STEPS = 4
CLASSES = 10
NUMBERS = count()
NEVER = 10**9


class Noise(Dataset):
    """Images of noise."""

    def __init__(self, size: int) -> None:
        self.images = torch.randn(64, 3, size, size, generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict:
        sample = DataSample().set_gt_label(index % CLASSES)
        return dict(inputs=self.images[index], data_samples=sample)


def make_runner(arch: str, size: int, batch: int, checkpoint: dict | None, guards: bool) -> Runner:
    """A runner before its first step.

    Args:
        arch: Of the ViT.
        size: Of the images, in pixels.
        batch: Images of a step.
        checkpoint: The checkpoint hook, if any.
        guards: Whether all guards are there.
    """
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    name = f'runtime{next(NUMBERS)}'
    hooks = [dict(type=f'mmpretrain.{guard}') for guard in GUARDS] if guards else []
    embed_dims = dict(tiny=192, small=384)[arch.removeprefix('deit-')]
    runner = Runner(
        dict(
            type='ImageClassifier',
            backbone=dict(type='TokenViT', arch=arch, img_size=size),
            head=dict(type='VisionTransformerClsHead', num_classes=CLASSES, in_channels=embed_dims),
        ),
        work_dir=folder,
        train_dataloader=dict(
            dataset=Noise(size),
            batch_size=batch,
            sampler=dict(type='InfiniteSampler', shuffle=True),
            collate_fn=dict(type='default_collate'),
        ),
        data_preprocessor=dict(type='ClsDataPreprocessor', num_classes=CLASSES),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-4)),
        train_cfg=dict(by_epoch=False, max_iters=NEVER),
        default_hooks=dict(logger=dict(type='LoggerHook', interval=NEVER), checkpoint=checkpoint),
        custom_hooks=hooks,
        default_scope='mmpretrain',
        randomness=dict(seed=0),
        log_level='WARNING',
        experiment_name=name,
    )
    # What Runner.train does before the first step.
    loop = runner.build_train_loop(runner._train_loop)
    runner._train_loop = loop
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.call_hook('before_run')
    runner._init_model_weights()
    runner.load_or_resume()
    runner.optim_wrapper.initialize_count_status(runner.model, loop.iter, loop.max_iters)
    for place in ('before_train', 'before_train_epoch'):
        runner.call_hook(place)
    runner.model.train()
    return runner


class Training(nn.Module):
    """A run in the place of a model, which takes steps.

    Args:
        guards: Whether all guards are there.
        size: Of the images, in pixels.
    """

    def __init__(self, guards: bool, size: int) -> None:
        super().__init__()
        self.guards, self.size = guards, size
        self.runner: Runner | None = None

    def forward(self, batch: int) -> Tensor:
        """A few steps."""
        if self.runner is None:
            kind = 'mmpretrain.ReliableCheckpointHook' if self.guards else 'CheckpointHook'
            hook = dict(type=kind, interval=NEVER, by_epoch=False)
            self.runner = make_runner('deit-tiny', self.size, batch, hook, self.guards)
        loop = self.runner.train_loop
        with torch.enable_grad():
            for _ in range(STEPS):
                loop.run_iter(next(loop.dataloader_iterator))
        return torch.zeros(())


class Saving(nn.Module):
    """A run in the place of a model, which saves a checkpoint.

    Args:
        asynchronous: Whether our hook lets training go on; None for a plain `torch.save`.
        size: Of the images, in pixels.
    """

    running: list['Saving'] = []

    def __init__(self, asynchronous: bool | None, size: int) -> None:
        super().__init__()
        hook = None
        if asynchronous is not None:
            hook = dict(type='mmpretrain.ReliableCheckpointHook', asynchronous=asynchronous)
            hook.update(interval=1, by_epoch=False, max_keep_ckpts=1)
        self.asynchronous = asynchronous
        self.runner = make_runner('deit-small', size, 8, hook, guards=False)
        with torch.enable_grad():
            for parameter in self.runner.model.parameters():
                parameter.grad = torch.ones_like(parameter)
        self.runner.optim_wrapper.step()
        self.hook = next((h for h in self.runner.hooks if isinstance(h, CheckpointHook)), None)
        Saving.running.append(self)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Before anything is timed: nothing is still being written, nor waits in memory for the
        disk, as a plain save does.
        """
        for other in Saving.running:
            if other.asynchronous:
                other.hook.finish()
        os.sync()

    def forward(self, batch: int) -> Tensor:
        """Save, until training goes on."""
        loop = self.runner.train_loop
        if self.hook is None:
            self.plain_save()
        else:
            self.hook.after_train_iter(self.runner, loop.iter)
            loop._iter += 1
        if self.asynchronous:
            began = time.perf_counter()
            self.go_back()
            self.untimed = time.perf_counter() - began
            self.hook.before_step()
        return torch.zeros(())

    def go_back(self) -> None:
        """Go forward and backward, up to the optimizer's step."""
        data = next(self.runner.train_loop.dataloader_iterator)
        model = self.runner.model
        with torch.enable_grad():
            losses = model(**model.data_preprocessor(data, training=True), mode='loss')
            losses['loss'].backward()

    def plain_save(self) -> None:
        """What mmengine puts into a checkpoint, written over the one before."""
        content = dict(
            state_dict=weights_to_cpu(get_state_dict(self.runner.model)),
            optimizer=self.runner.optim_wrapper.state_dict(),
            message_hub=self.runner.message_hub.state_dict(),
        )
        torch.save(content, Path(self.runner.work_dir, 'plain.pth'))


class Quiet(Training):
    """A training that waits for what others are writing."""

    zero_grad = Saving.zero_grad


def _saving(name: str, asynchronous: bool | None) -> Row:
    return Row(name, partial(Saving, asynchronous), lambda model, images: model(len(images)))


def _training(name: str, guards: bool) -> Row:
    return Row(name, partial(Quiet, guards), lambda model, images: model(len(images)))


PRESET = Preset(
    title=f'{STEPS} training steps of DeiT-T, and a checkpoint of DeiT-S, without guards and with',
    rows=[
        _training('steps', guards=False),
        # It and the atomic save find the disk as idle as steps leave it.
        _saving('torch.save', None),
        _training('steps with all guards', guards=True),
        _saving('atomic save', False),
        _saving('asynchronous save', True),
    ],
    ratios=[
        Ratio('steps with all guards', 'steps', 1.02),
        Ratio('atomic save', 'torch.save', 1.3),
        Ratio('asynchronous save', 'torch.save', 0.1),
    ],
    cases=[(224, 8)],
    modes=['infer'],
)
