"""Paint what a data loader yields: images with their labels, boxes, masks or class maps.

Works for classification (mmpretrain), detection (mmdet) and segmentation (mmsegmentation), and
needs no display::

    python tools/visualization/browse_dataset.py CONFIG --out pictures
    python tools/visualization/browse_dataset.py CONFIG --phase val --number 50 --mode both
"""

import argparse
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mmtoken.config_check.check import check_config
from mmtoken.config_check.files import check_files
from mmtoken.errors import UserError, exit_on_user_error
from mmtoken.runtime.cli import add_config_arguments, load_config

import numpy as np
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import DATASETS, VISUALIZERS, init_default_scope
from mmengine.runner import set_random_seed
from mmengine.structures import BaseDataElement
from mmengine.visualization import Visualizer
from rich.progress import track

PAINTERS = {
    'mmpretrain': dict(type='mmpretrain.UniversalVisualizer'),
    'mmdet': dict(type='mmdet.DetLocalVisualizer'),
    'mmseg': dict(type='mmseg.SegLocalVisualizer', alpha=0.5),
}
MODES = {'original': ('original',), 'transformed': ('transformed',)}
MODES['both'] = ('original', 'transformed')
# Smaller images are enlarged by a whole factor, so that what is written on them can be read.
MIN_SIDE = 320


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument(
        '--out',
        type=Path,
        help='folder of the pictures (default: work_dirs/browse/<config>/<phase>)',
    )
    parser.add_argument(
        '--phase',
        choices=['train', 'val', 'test'],
        default='train',
        help='whose data loader (default: %(default)s)',
    )
    parser.add_argument(
        '--number', type=int, default=16, help='how many samples (default: %(default)s)'
    )
    parser.add_argument(
        '--mode',
        choices=list(MODES),
        default='transformed',
        help='the sample as it is loaded, as the pipeline leaves it, or a picture of each '
        '(default: %(default)s)',
    )
    return parser.parse_args(argv)


def build_dataset(cfg: Config, loader: str, mode: str) -> Any:
    """Build the dataset of a data loader.

    Args:
        cfg: The config; it stays as it is.
        loader: 'train_dataloader', 'val_dataloader' or 'test_dataloader'.
        mode: 'transformed', or 'original' to leave out all transforms but loading and packing.

    Returns:
        The dataset, of whichever library.
    """
    content = ConfigDict(cfg[loader].dataset.to_dict())
    if mode == 'original':
        for node in _nodes(content):
            if 'pipeline' in node:
                node.pipeline = [
                    step
                    for step in node.pipeline
                    if str(step.get('type')).split('.')[-1].startswith(('Load', 'Pack'))
                ]
    return DATASETS.build(content)


def _nodes(node: Any) -> Iterator[ConfigDict]:
    """All dicts at and below a node of a config: datasets may wrap datasets."""
    if isinstance(node, dict):
        yield node
        for child in node.values():
            yield from _nodes(child)
    elif isinstance(node, (list, tuple)):
        for child in node:
            yield from _nodes(child)


def reads_bgr(cfg: Config) -> bool:
    """Whether the pipeline yields BGR images, which the data preprocessor then turns to RGB."""
    model = cfg.get('model') or {}
    settings = model.get('data_preprocessor') or cfg.get('data_preprocessor') or {}
    return settings.get('to_rgb', settings.get('bgr_to_rgb', True))


def to_image(inputs: torch.Tensor, bgr: bool) -> np.ndarray:
    """The pixels that a pipeline packed, as visualizers take them.

    Args:
        inputs: (3, H, W) or (1, H, W), 0 to 255.
        bgr: Whether the channels are blue, green, red.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    image = inputs.permute(1, 2, 0).round().clamp(0, 255).byte().numpy()
    image = np.broadcast_to(image, (*image.shape[:2], 3))
    return np.ascontiguousarray(image[..., ::-1] if bgr else image)


def enlarge(image: np.ndarray, sample: BaseDataElement) -> np.ndarray:
    """Repeat the pixels of a small image, and of its annotations, to be able to read labels on it.

    Args:
        image: (H, W, 3).
        sample: The annotations, changed in place to plain arrays and tensors.

    Returns:
        (k * H, k * W, 3) for a whole k, so that no pixel is blended with another.
    """
    factor = -(-MIN_SIDE // min(image.shape[:2]))
    if 'gt_instances' in sample:
        instances = sample.gt_instances
        if 'bboxes' in instances:
            boxes = instances.bboxes
            instances.bboxes = getattr(boxes, 'tensor', boxes) * factor
        if 'masks' in instances:
            masks = instances.masks
            masks = masks.to_ndarray() if hasattr(masks, 'to_ndarray') else np.asarray(masks)
            instances.masks = masks.repeat(factor, 1).repeat(factor, 2).astype(bool)
    if 'gt_sem_seg' in sample:
        classes = sample.gt_sem_seg.data  # (1, H, W)
        classes = classes.repeat_interleave(factor, 1).repeat_interleave(factor, 2)
        sample.set_field(type(sample.gt_sem_seg)(data=classes), 'gt_sem_seg')
    return image.repeat(factor, 0).repeat(factor, 1)


def paint(visualizer: Visualizer, image: np.ndarray, sample: BaseDataElement, path: Path) -> None:
    """Write one picture.

    Args:
        visualizer: The library's own.
        image: (H, W, 3) uint8 RGB.
        sample: What is known of the image.
        path: The picture.
    """
    with warnings.catch_warnings():
        # A box that reaches the image's border is called out of bounds.
        warnings.filterwarnings('ignore', message='.*out of bounds')
        if hasattr(visualizer, 'visualize_cls'):
            visualizer.visualize_cls(image, sample, draw_pred=False, out_file=str(path))
        else:
            visualizer.add_datasample(path.stem, image, sample, draw_pred=False, out_file=str(path))


@exit_on_user_error
def main(argv: Sequence[str] | None = None) -> None:
    """Paint from the command line.

    Args:
        argv: The arguments; ``sys.argv`` by default.
    """
    args = parse_args(argv)
    if args.number < 1:
        raise UserError(f'--number {args.number} asks for no picture; give 1 or more')
    loader = f'{args.phase}_dataloader'
    cfg = load_config(args.config, args.cfg_options)
    check_config(cfg, needs=(loader,))
    scope = cfg.get('default_scope')
    if scope not in PAINTERS:
        raise UserError(
            f'{args.config} has the default_scope {scope!r}, which has no painter here; '
            f'it must be one of {", ".join(PAINTERS)}'
        )
    # Only the data: pretrained weights that are not there yet do not matter here.
    check_files(Config({'default_scope': scope, loader: cfg[loader].to_dict()}), [loader])
    out = args.out or Path('work_dirs', 'browse', Path(args.config).stem, args.phase)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f'--out {str(out)!r} is no folder ({error.strerror})') from error

    init_default_scope(scope)
    visualizer = VISUALIZERS.build(dict(PAINTERS[scope], name='browse'))
    datasets = {mode: build_dataset(cfg, loader, mode) for mode in MODES[args.mode]}
    count = min(args.number, *map(len, datasets.values()))
    bgr = reads_bgr(cfg)
    set_random_seed((cfg.get('randomness') or {}).get('seed') or 0)
    for index in track(range(count), description=f'painting {out}'):
        for mode, dataset in datasets.items():
            visualizer.dataset_meta = dataset.metainfo
            packed = dataset[index]
            sample = packed['data_samples']
            image = enlarge(to_image(packed['inputs'], bgr), sample)
            # Data sets that come in one file have no path for each image.
            stem = Path(sample.get('img_path') or '').stem
            paint(visualizer, image, sample, out / f'{index:05d}_{stem}_{mode}.png')
    print(f'{out}: {count * len(datasets)} pictures of the {args.phase} data')


if __name__ == '__main__':
    main()
