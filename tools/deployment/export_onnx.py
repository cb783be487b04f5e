"""Write an ONNX file of a classifier, of a backbone, or of a backbone with its neck.

::

    python tools/deployment/export_onnx.py CONFIG CHECKPOINT --out model.onnx --dynamic-batch
    python tools/deployment/export_onnx.py CONFIG --out features.onnx --what features --size 512 512

The graph takes images of one size, to which the position embedding is brought, and one of them or,
with ``--dynamic-batch``, any number: (B, 3, height, width), normalized as the config's data
preprocessor does it; mean, std and the order of channels stand in the file's metadata. A file is
kept only if ONNX Runtime computes with it what the model does, to 1e-4. The heads of detectors and
segmentors are not exported.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from mmtoken.deployment.exported import PARTS, Exported, choose_part, fold_position, image_size
from mmtoken.deployment.onnx_file import OPSETS, require_onnx, write_onnx
from mmtoken.errors import UserError, exit_on_user_error
from mmtoken.runtime.cli import (
    add_config_arguments,
    add_trust_argument,
    load_checked_config,
    trust_named,
)
from mmtoken.runtime.load_model import build_model, load_weights
from mmtoken.vit.token_backbone import TokenBackbone

from mmengine.config import Config


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument('checkpoint', nargs='?', help='checkpoint file (default: random weights)')
    add_trust_argument(parser)
    parser.add_argument('--out', type=Path, required=True, metavar='FILE', help='the ONNX file')
    parser.add_argument(
        '--what',
        choices=PARTS,
        help='backbone, features (backbone and neck) or classifier (default: all of a classifier, '
        'the features of others)',
    )
    parser.add_argument(
        '--dynamic-batch', action='store_true', help='take any number of images, not one'
    )
    parser.add_argument(
        '--size',
        type=int,
        nargs=2,
        metavar=('HEIGHT', 'WIDTH'),
        help="size of the images in pixels (default: the backbone's img_size)",
    )
    parser.add_argument(
        '--opset',
        type=int,
        default=OPSETS[0],
        help=f"version of ONNX's operators, {OPSETS[0]} to {OPSETS[-1]} (default: %(default)s)",
    )
    return parser.parse_args(argv)


def describe(cfg: Config, part: str) -> dict[str, str]:
    """What the file says of itself.

    Args:
        cfg: The config.
        part: What was exported.

    Returns:
        The config's name, the part, and how images are normalized, each value as JSON.
    """
    preprocessor = cfg.model.get('data_preprocessor') or cfg.get('data_preprocessor') or {}
    # mmpretrain calls it otherwise than mmdet and mmsegmentation.
    to_rgb = preprocessor.get('to_rgb', preprocessor.get('bgr_to_rgb', False))
    said = {
        'config': Path(cfg.filename).stem,
        'part': part,
        'mean': preprocessor.get('mean'),
        'std': preprocessor.get('std'),
        'channels': 'RGB' if to_rgb else 'BGR',
    }
    return {name: json.dumps(value) for name, value in said.items()}


@exit_on_user_error
def main(argv: Sequence[str] | None = None) -> None:
    """Export from the command line.

    Args:
        argv: The arguments; ``sys.argv`` by default.
    """
    args = parse_args(argv)
    require_onnx()
    cfg = load_checked_config(args, needs=('model', 'default_scope'))
    if not args.out.resolve().parent.is_dir() or args.out.is_dir():
        raise UserError(f'--out {str(args.out)!r} is no file in a folder that exists; name one')
    model = build_model(cfg)
    backbone = getattr(model, 'backbone', None)
    # LoRA's holds one of them, whose positions are folded.
    backbone = getattr(backbone, 'module', backbone)
    if not isinstance(backbone, TokenBackbone):
        raise UserError(
            f'config {args.config}: its backbone is {type(backbone).__name__}; only those of '
            'mmtoken are exported'
        )
    part = choose_part(model, cfg.default_scope, args.what)
    size = image_size(backbone, args.size)
    if args.checkpoint:
        trust_named(args, args.checkpoint)
        load_weights(model, args.checkpoint)
    fold_position(backbone, size)
    notes = describe(cfg, part)
    difference, largest = write_onnx(
        Exported(model, part), args.out, size, args.dynamic_batch, args.opset, notes
    )
    batch = 'B' if args.dynamic_batch else 1
    print(
        f'{args.out}: {part}, images ({batch}, 3, {size[0]}, {size[1]}); ONNX Runtime differs by '
        f'{difference:.1e} at most, where outputs are up to {largest:.1e}'
    )


if __name__ == '__main__':
    main()
