"""What label maps cost the processes that load ImageNet's images: one store, and a file an image.

Two workers load, augment and collate without a pause and hand batches on, as in a training that
waits for them; they are started anew for every pass, since one pair may be a tenth slower than
another of the same kind. The files are in the page cache.
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
from mmengine.dataset import default_collate
from mmengine.registry import DATASETS, DefaultScope
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset

CONFIG = 'configs/lv_vit/lv-vit-small_8xb128_in1k.py'
IMAGES, TIMES, BATCH, WORKERS = 64, 8, 32, 2
SIDES = 375, 500  # An ImageNet image has about that many pixels.
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
            dataset = DATASETS.build(dataset)
        # So many that to start the workers is little beside them.
        dataset = Subset(dataset, [*range(IMAGES)] * TIMES)
        self.loader = DataLoader(
            dataset,
            BATCH,
            num_workers=WORKERS,
            collate_fn=default_collate,
            worker_init_fn=begin,
        )

    def forward(self) -> Tensor:
        """Load all images, in the same way as every other kind; their sum."""
        return sum(batch['inputs'].sum() for batch in self.loader)


def begin(worker: int) -> None:
    """Draw alike in each kind's worker, and leave the cores to the workers."""
    np.random.seed(worker)
    cv2.setNumThreads(0)


def _row(name: str, kind: str) -> Row:
    return Row(name, lambda img_size: Loader(kind), lambda model, images: model())


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
    cases=[(224, IMAGES * TIMES)],
    modes=['infer'],
)
