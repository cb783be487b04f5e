"""What label maps cost a process that loads ImageNet's images: one store, and a file an image.

A training loads with many processes; where all are busy, what one of them takes for an image is
what an image costs. The files are in the page cache.
"""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

from mmtoken.datasets import LabelStoreWriter
from mmtoken.datasets.label_store import Manifest
from mmtoken.experiments.benchmark_rows import Preset, Ratio, Row

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from torch import Tensor, nn

CONFIG = 'configs/lv_vit/lv-vit-small_8xb128_in1k.py'
IMAGES, SIDES = 64, (375, 500)  # An ImageNet image has about that many pixels.
CLASSES, GRID, TOP_K = 1000, (18, 18), 5


class LoadTokenLabelFile:
    """A map from a file of its own beside the image, as the released code keeps them."""

    def __call__(self, results: dict) -> dict:
        """Load the map, as `LoadTokenLabels` does."""
        values, ids = torch.load(Path(results['img_path']).with_suffix('.pt'), weights_only=True)
        fields = dict(token_label=values, token_label_ids=ids, token_label_kind='logit')
        return dict(results, affine_source=np.eye(2, 3), **fields)


@cache
def folder() -> Path:
    """Images of noise and their maps, in a folder that goes when the process ends."""
    root = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, root)
    rng = np.random.default_rng(0)
    names = [f'{index:03d}.JPEG' for index in range(IMAGES)]
    manifest = Manifest('logit', CLASSES, GRID, TOP_K, {}, '', IMAGES, 'python noise.py')
    values = rng.normal(size=manifest.shape()).astype(np.float16)
    ids = rng.integers(0, CLASSES, manifest.shape()).astype(np.int16)
    LabelStoreWriter(root / 'store', manifest, names).write(range(IMAGES), values, ids)
    (root / 'train').mkdir()
    for name, *maps in zip(names, values, ids, strict=True):
        # Smooth noise is compressed like a photograph.
        noise = cv2.resize(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8), SIDES[::-1])
        cv2.imwrite(str(root / 'train' / name), noise)
        torch.save([torch.from_numpy(part) for part in maps], root / 'train' / f'{name[:3]}.pt')
    (root / 'meta').mkdir()
    (root / 'meta' / 'train.txt').write_text(''.join(f'{name} 0\n' for name in names))
    return root


class Loader(nn.Module):
    """A training set in the place of a model.

    Args:
        kind: 'store', 'files', or 'none' for images without maps.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        dataset = Config.fromfile(CONFIG).train_dataloader.dataset
        load, labels, track, erase, pack = dataset.pipeline
        labels.update(store=str(folder() / 'store'), images=str(folder() / 'train'))
        steps = {
            'store': [load, labels, track, erase, pack],
            'files': [load, LoadTokenLabelFile(), track, erase, pack],
            'none': [load, *track.transforms, erase, dict(type='PackInputs')],
        }
        dataset.update(data_root=str(folder()), ann_file='meta/train.txt', pipeline=steps[kind])
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            self.dataset = DATASETS.build(dataset)

    def forward(self, count: int) -> Tensor:
        """Load images, the same ones in the same way every time; their sum."""
        np.random.seed(0)
        return sum(self.dataset[index]['inputs'].float().sum() for index in range(count))


def load(model: nn.Module, images: Tensor) -> Tensor:
    """Load as many images as a batch has."""
    return model(len(images))


def _row(name: str, kind: str) -> Row:
    return Row(name, lambda img_size: Loader(kind), load)


PRESET = Preset(
    title='Loading and augmenting images for LV-ViT-S: without label maps, and with them',
    rows=[
        _row('images', 'none'),
        _row('images and one store', 'store'),
        _row('images and a file each', 'files'),
    ],
    ratios=[
        Ratio('images and one store', 'images', 1.10),
        Ratio('images and a file each', 'images'),
        Ratio('images and a file each', 'images and one store'),
    ],
    cases=[(224, 64)],
    modes=['infer'],
)
