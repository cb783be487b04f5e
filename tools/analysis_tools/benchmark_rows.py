"""What the benchmark times: rows, the step of a row, its peak memory, and the presets.

A preset is a list of rows and the ratios between them; a new one is a function in ``PRESETS``.
"""

import multiprocessing
import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mmtoken.errors import UserError
from mmtoken.runtime.cli import load_config

import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor, nn


@dataclass(frozen=True)
class Case:
    """One input and what is done with it.

    Args:
        size: Height and width of the images in pixels.
        batch: Number of images.
        device: Where.
        mode: ``'train'`` (forward, loss, backward) or ``'infer'``.
        optimizer: Whether a training step ends with one of AdamW.
        amp: Autocast type, or None.
    """

    size: int
    batch: int
    device: str = 'cpu'
    mode: str = 'train'
    optimizer: bool = False
    amp: str | None = None


@dataclass(frozen=True)
class Row:
    """One thing to time.

    Args:
        name: Shown in the table; unique in a preset.
        build: Makes the model for an image size. Importable, since the peak memory is measured in
            a process of its own.
        loss: Maps model and images to a scalar.
    """

    name: str
    build: Callable[[int], nn.Module]
    loss: Callable[[nn.Module, Tensor], Tensor]


@dataclass(frozen=True)
class Ratio:
    """Time of one row over that of another, and the most it should be.

    Args:
        row: Name of the row.
        base: Name of the other.
        target: The most their ratio should be, or that by image size, or None.
    """

    row: str
    base: str
    target: float | Mapping[int, float] | None = None

    def target_at(self, size: int) -> float | None:
        """The target at an image size."""
        return self.target.get(size) if isinstance(self.target, Mapping) else self.target


@dataclass(frozen=True)
class Preset:
    """Rows that are timed together.

    Args:
        title: Heads the table.
        rows: What is timed.
        ratios: What is compared.
        cases: Image size and batch size, where the command line names none.
    """

    title: str
    rows: Sequence[Row]
    ratios: Sequence[Ratio] = field(default_factory=tuple)
    cases: Sequence[tuple[int, int]] = ((224, 8),)


class Step:
    """A row's model with its input, ready to be run again and again.

    Args:
        row: What to time.
        case: On which input.
    """

    def __init__(self, row: Row, case: Case) -> None:
        torch.manual_seed(0)
        self.row, self.case = row, case
        self.model = row.build(case.size).to(case.device).train(case.mode == 'train')
        self.images = torch.randn(case.batch, 3, case.size, case.size, device=case.device)
        self.optimizer = torch.optim.AdamW(self.model.parameters()) if case.optimizer else None

    def clear(self) -> None:
        """Drop the gradients of the last run, outside what is timed."""
        self.model.zero_grad(set_to_none=True)

    def run(self) -> None:
        """Do the step once."""
        kind = self.case.device.partition(':')[0]
        amp = getattr(torch, self.case.amp) if self.case.amp else torch.float32
        training = self.case.mode == 'train'
        with torch.set_grad_enabled(training):
            with torch.autocast(kind, amp, enabled=self.case.amp is not None):
                loss = self.row.loss(self.model, self.images)
            if training:
                loss.backward()
                if self.optimizer is not None:
                    self.optimizer.step()

    def synchronize(self) -> None:
        """Wait for the device."""
        if self.case.device.startswith('cuda'):
            torch.cuda.synchronize(self.case.device)


def peak_memory(row: Row, case: Case, threads: int) -> float:
    """Peak memory of three steps in a fresh process: model, gradients and activations.

    Args:
        row: What to run.
        case: On which input.
        threads: CPU threads.

    Returns:
        MiB: on CUDA the allocator's peak, on the CPU by how much the peak of the resident set
        rises from before the model is built.
    """
    context = multiprocessing.get_context('spawn')
    with context.Pool(1) as pool:
        return pool.apply(_peak_memory, (row, case, threads))


def _peak_memory(row: Row, case: Case, threads: int) -> float:
    torch.set_num_threads(threads)
    _reset_peak()
    before = _peak_mib()
    step = Step(row, case)
    for _ in range(3):
        step.clear()
        step.run()
    if case.device.startswith('cuda'):
        return round(torch.cuda.max_memory_allocated(case.device) / 2**20, 1)
    return round(_peak_mib() - before, 1)


def _reset_peak() -> None:
    """Let the peak of the resident set start from now, where Linux offers it."""
    switch = Path('/proc/self/clear_refs')
    try:
        switch.write_text('5')
    except OSError:
        return


def _peak_mib() -> float:
    """Peak of the resident set in MiB."""
    status = Path('/proc/self/status')
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith('VmHWM'))
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == 'darwin' else 1024)


def classifier_loss(model: nn.Module, images: Tensor) -> Tensor:
    """Cross-entropy of an mmpretrain classifier against arbitrary labels."""
    samples = [DataSample().set_gt_label(i % 10).to(images.device) for i in range(len(images))]
    if not model.training:
        return sum(score.sum() for score in model(images, samples, mode='tensor'))
    return model(images, samples, mode='loss')['loss']


def backbone_loss(model: nn.Module, images: Tensor) -> Tensor:
    """Mean square of everything a backbone returns."""
    return sum(out.float().square().mean() for out in model(images))


def build_classifier(
    backbone: dict[str, Any], img_size: int, model: dict[str, Any] = dict(type='ImageClassifier')
) -> nn.Module:
    """A classifier of 1000 classes over a DeiT-T-sized backbone.

    Args:
        backbone: Its config, without the image size.
        img_size: Height and width in pixels.
        model: Config of the classifier itself.

    Returns:
        The classifier.
    """
    head = dict(type='VisionTransformerClsHead', num_classes=1000, in_channels=192)
    backbone = dict(img_size=img_size, **backbone)
    return MODELS.build(dict(model, backbone=backbone, head=head))


def build_backbone(config: str, img_size: int) -> nn.Module:
    """The backbone of a config, without pretrained weights.

    Args:
        config: Config file of any of the three libraries.
        img_size: Height and width in pixels.

    Returns:
        The backbone.

    Raises:
        UserError: If the config has none.
    """
    cfg = load_config(config)
    backbone = cfg.get('model', {}).get('backbone')
    if backbone is None:
        raise UserError(f'{config} has no model.backbone, and only backbones are timed')
    backbone.pop('init_cfg', None)
    if 'img_size' in backbone:
        backbone.img_size = img_size
    with MODELS.switch_scope_and_registry(cfg.get('default_scope')) as registry:
        return registry.build(backbone)


def life_preset() -> Preset:
    """What TokenViT costs over mmpretrain's ViT, and LIFE over TokenViT, at DeiT-T's size."""

    def row(name: str, **backbone: Any) -> Row:
        return Row(name, partial(build_classifier, backbone), classifier_loss)

    # qkv_bias and the class token are the defaults of all three.
    rows = (
        row('VisionTransformer', type='VisionTransformer', arch='deit-tiny', patch_size=16),
        row('TokenViT', type='TokenViT', arch='deit-tiny', patch_size=16),
        row('LIFEViT', type='LIFEViT', arch='deit-tiny', patch_size=16),
    )
    ratios = (
        Ratio('TokenViT', 'VisionTransformer', 1.02),
        Ratio('LIFEViT', 'TokenViT', 1.12),
    )
    title = "DeiT-T: mmpretrain's VisionTransformer, TokenViT and LIFEViT"
    return Preset(title, rows, ratios, ((224, 8), (512, 2)))


def tl_align_preset() -> Preset:
    """What aligned targets cost over CutMix's, and K-channel labels would, at DeiT-T's size."""
    from benchmark_anchors import KChannelClassifier

    def row(name: str, kind: str | type, **options: Any) -> Row:
        model = dict(type=kind, **options)
        backbone = dict(type='TokenViT', arch='deit-tiny', patch_size=16)
        return Row(name, partial(build_classifier, backbone, model=model), classifier_loss)

    rows = (
        row('CutMix', 'TLAlignClassifier', target='cutmix'),
        row('TL-Align', 'TLAlignClassifier'),
        row('TL-Align, K channels', KChannelClassifier),
    )
    # 224 and 512 px are 197 and 1,025 tokens.
    ratios = (
        Ratio('TL-Align', 'CutMix', {224: 1.05, 512: 1.15}),
        Ratio('TL-Align, K channels', 'CutMix'),
    )
    title = 'DeiT-T: CutMix, TL-Align, and TL-Align with K = 1000 label channels'
    return Preset(title, rows, ratios, ((224, 8), (512, 2)))


def config_preset(configs: dict[str, str]) -> Preset:
    """The backbones of some configs, each compared to the first.

    Args:
        configs: Config files by name.

    Returns:
        The preset.
    """
    rows = [
        Row(name, partial(build_backbone, path), backbone_loss) for name, path in configs.items()
    ]
    first = rows[0].name
    ratios = [Ratio(row.name, first) for row in rows[1:]]
    return Preset(f'Backbones: {", ".join(configs)}', rows, ratios)


PRESETS: dict[str, Callable[[], Preset]] = {
    'life': life_preset,
    'tl_align': tl_align_preset,
}
