"""Paint what a data loader yields: images with their labels, boxes, masks, class or label maps.

Works for classification (mmpretrain), detection (mmdet) and segmentation (mmsegmentation), and
needs no display::

    python tools/visualization/browse_dataset.py CONFIG --out pictures
    python tools/visualization/browse_dataset.py CONFIG --phase val --number 50 --mode both
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmtoken.config_check.files import check_files
from mmtoken.datasets.browse import PAINTERS, build_dataset, enlarge, paint, reads_bgr, to_image
from mmtoken.errors import UserError, exit_on_user_error
from mmtoken.lv_vit.label_picture import paint_labels
from mmtoken.runtime.cli import add_config_arguments, load_checked_config

import numpy as np
from mmengine.config import Config
from mmengine.registry import VISUALIZERS, init_default_scope
from mmengine.runner import set_random_seed
from rich.progress import track

MODES = {'original': ('original',), 'transformed': ('transformed',)}
MODES['both'] = ('original', 'transformed')


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
    cfg = load_checked_config(args, needs=(loader,))
    scope = cfg.get('default_scope')
    if scope not in PAINTERS:
        raise UserError(
            f'{args.config} has the default_scope {scope!r}, which has no painter here; '
            f'it must be one of {", ".join(PAINTERS)}'
        )
    # Only the data: pretrained weights that are not there yet do not matter here.
    check_files(
        Config({'default_scope': scope, loader: cfg[loader].to_dict()}), [loader], mode=args.check
    )
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
            if 'token_label' in sample:
                labels = paint_labels(image, sample, dataset.metainfo.get('classes') or ())
                image = np.hstack([image, labels])
            # Data sets that come in one file have no path for each image.
            stem = Path(sample.get('img_path') or '').stem
            paint(visualizer, image, sample, out / f'{index:05d}_{stem}_{mode}.png')
    print(f'{out}: {count * len(datasets)} pictures of the {args.phase} data')


if __name__ == '__main__':
    main()
