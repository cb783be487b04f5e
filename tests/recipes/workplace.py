"""A folder as a reader of the README has it: the repository's tools and configs, tiny data."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import torch
from documents import DOCUMENTS, ROOT
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.models import ImageClassifier
from public_layouts import (
    write_ade20k,
    write_cifar100,
    write_coco,
    write_coco_split,
    write_image,
    write_imagenet,
)

from mmtoken.convert import to_timm
from mmtoken.datasets import DigitDataOptions, write_scene_data
from mmtoken.life import LIFEViT
from mmtoken.vit import TokenViT

RUNS = count()
ADDRESS = re.compile(r'https://[\w./-]+/deit-tiny_[\w-]+\.pth')
# Stands for what is behind the address: mmpretrain's own model, with its names of the weights.
DOWNLOADED = 'downloaded.pth'
LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
SHORTENED = {'train.py', 'test.py', 'dist_train.sh', 'dist_test.sh'}
SHORTENED |= {'browse_dataset.py', 'dense_rollout.py'}
CHECKPOINT = re.compile(r'work_dirs/([\w.-]+)/((?:epoch|iter)_\d+\.pth)')


def lay_out(folder: Path) -> None:
    """Link what a clone has, and write what the recipes expect of a reader."""
    for name in ('tools', 'configs'):
        (folder / name).symlink_to(ROOT / name)
    write_imagenet(folder / 'data/imagenet')
    write_cifar100(folder / 'data/cifar100')
    write_coco(folder / 'data/coco')
    write_ade20k(folder / 'data/ade/ADEChallengeData2016')
    for split in ('train', 'val'):
        pets = folder / 'data/pets'
        write_coco_split(pets / split, pets / f'{split}.json', ('cat', 'dog'))
    write_ade20k(folder / 'data/park', first_label=0)
    write_image(folder / 'image.png')
    weights = {f'backbone.{name}': value for name, value in LIFEViT().state_dict().items()}
    torch.save({'state_dict': weights}, folder / 'my_life_deit_tiny.pth')
    head = dict(type='VisionTransformerClsHead', num_classes=1000, in_channels=192)
    deit = dict(type='VisionTransformer', arch='deit-tiny')
    classifier = ImageClassifier(backbone=deit, head=head)
    torch.save({'state_dict': classifier.state_dict()}, folder / DOWNLOADED)
    write_released_weights(folder)
    # Stands for any classifier of ImageNet that a reader has.
    config = ROOT / 'configs/deit/deit-tiny_8xb64_in1k.py'
    (folder / 'annotator.py').write_text(f'_base_ = {str(config)!r}\n')
    (folder / 'annotator.pth').symlink_to(DOWNLOADED)


def write_released_weights(folder: Path) -> None:
    """Write what stands for files of timm and of facebookresearch/dinov2, of one layer."""
    for name, width, options in (
        ('deit_tiny_patch16_224', 192, {}),
        ('dinov2_vits14_reg4_pretrain', 384, dict(num_aux_tokens=5, num_registers=4)),
    ):
        arch = dict(embed_dims=width, num_layers=1, num_heads=3, feedforward_channels=4 * width)
        scale = 1e-5 if options else 0.0
        model = TokenViT(arch, 224, 14 if options else 16, layer_scale_init_value=scale, **options)
        ours = {f'backbone.{name}': value for name, value in model.state_dict().items()}
        state = to_timm(ours, dict(type='TokenViT')).state
        if options:
            state['register_tokens'] = state.pop('reg_token')
            state['mask_token'] = torch.zeros(1, width)
            # The class token has a position there.
            row = torch.zeros(1, 1, width)
            state['pos_embed'] = torch.cat([row, state['pos_embed']], dim=1)
        else:
            state |= {'head.weight': torch.zeros(1000, width), 'head.bias': torch.zeros(1000)}
        torch.save({'model': state} if not options else state, folder / f'{name}.pth')


def short_options(config: str) -> list[str]:
    """Overrides that make a run one step long, its images small, and keep it in its process."""
    cfg = Config.fromfile(config)
    name = f'run{next(RUNS)}'
    found = [f'experiment_name={name}', f'visualizer.name={name}']
    if 'max_epochs' in cfg.train_cfg:
        found += ['train_cfg.max_epochs=1', 'train_cfg.val_interval=1']
    else:
        found += ['train_cfg.max_iters=1', 'train_cfg.val_interval=1']
        found += ['default_hooks.checkpoint.interval=1']
    for name in LOADERS:
        found += [f'{name}.num_workers=0', f'{name}.persistent_workers=False']
        for index, step in enumerate(cfg[name].dataset.pipeline):
            place = f'{name}.dataset.pipeline.{index}'
            if step.type in ('Resize', 'RandomResize') and isinstance(step.get('scale'), tuple):
                found.append(f'{place}.scale=(96,64)')
            if step.type == 'RandomCrop' and step.get('cat_max_ratio'):
                found.append(f'{place}.crop_size=(64,64)')
    if cfg.default_scope == 'mmdet':
        # Untrained scores are low, and without any detection there is no metric.
        found.append('model.test_cfg.rcnn.score_thr=0.0')
    if cfg.default_scope == 'mmseg':
        found.append('model.data_preprocessor.size=(64,64)')
        if cfg.model.test_cfg.mode == 'slide':
            found += ['model.test_cfg.crop_size=(64,64)', 'model.test_cfg.stride=(48,48)']
    return ['--cfg-options', *found]


def shorten_search(path: str) -> str:
    """Write a search of one step each, and the data that it needs."""
    scenes = Path('data/digit_scenes')
    if not scenes.exists():
        write_scene_data(scenes, DigitDataOptions(cls_train=40, cls_val=20, train=2, val=2))
    Path('short_search.py').write_text(
        f'_base_ = {path!r}\nheld_out = 0.25\nsupernet = dict(iterations=2)\n'
        'retraining = dict(top=1, random=1, iterations=2)\n'
    )
    return 'short_search.py'


def alias_checkpoints() -> None:
    """Let what a short training saved stand under the names that documents and configs use."""
    files = [*DOCUMENTS, *(ROOT / 'configs').rglob('*.py')]
    for name, file in {pair for path in files for pair in CHECKPOINT.findall(path.read_text())}:
        folder = Path('work_dirs', name)
        saved = sorted(folder.glob('*_1.pth'))
        if saved and not (folder / file).exists():
            (folder / file).symlink_to(saved[0].name)


def run_command(line: str, load_tool: Callable) -> None:
    """Run a command of a document, but for what a CPU cannot do: mixed precision, eight processes.

    What reads a config is shortened; scripts run in this process, launchers start their own.
    """
    alias_checkpoints()
    words = [word for word in shlex.split(line, comments=True) if word != '--amp']
    program, tool, *arguments = words
    assert Path(tool).is_file(), line
    name = Path(tool).name
    if name in SHORTENED:
        arguments += short_options(arguments[0])
    if name == 'search.py':
        arguments[0] = shorten_search(arguments[0])
    if program == 'bash':
        place = 2 if name == 'dist_test.sh' else 1
        assert arguments[place] == '8', line
        arguments[place] = '2'
        env = {**os.environ, 'PATH': f'{Path(sys.executable).parent}:{os.environ["PATH"]}'}
        done = subprocess.run([program, tool, *arguments], env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    else:
        assert program == 'python', line
        load_tool(tool.removeprefix('tools/')).main(arguments)
        DefaultScope._instance_dict.clear()
