"""Show where a model looked: one picture a class, and a page to explore every token.

Works for segmentors (mmsegmentation), detectors (mmdet) and classifiers (mmpretrain) whose backbone
is of the TokenViT family, or a pyramid that attends::

    python tools/visualization/dense_rollout.py CONFIG CHECKPOINT IMAGE... --out DIR

DIR then holds <image>_<class>.png and index.html, which needs nothing else, no network either. What
no file can be called is replaced, and images of the same name are numbered.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmtoken.errors import UserError, exit_on_user_error
from mmtoken.rollout import TokenSet, class_label, class_names, file_names, find_token_sets
from mmtoken.rollout.page import image_entry, write_page
from mmtoken.rollout.pictures import capture_image, save_overlays
from mmtoken.rollout.token_sets import WEIGHTS
from mmtoken.runtime.cli import (
    add_config_arguments,
    add_trust_argument,
    check_device,
    load_checked_config,
    trust_named,
)
from mmtoken.runtime.load_model import load_model

from rich.progress import track


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    add_trust_argument(parser)
    parser.add_argument('images', nargs='+', type=Path, metavar='IMAGE', help='image files')
    parser.add_argument('--out', type=Path, required=True, help='folder of the pictures and page')
    parser.add_argument(
        '--classes', nargs='+', help='class names (default: all that are predicted in an image)'
    )
    parser.add_argument(
        '--weights',
        choices=WEIGHTS,
        default='hard',
        help='whether a token counts for its class alone or for each by its probability '
        '(default: %(default)s)',
    )
    parser.add_argument(
        '--score-threshold',
        type=float,
        default=0.3,
        help='detections below it do not count (default: %(default)s)',
    )
    parser.add_argument(
        '--stage',
        type=int,
        help='of a pyramid, the stage whose tokens are rolled out (default: the last that runs)',
    )
    parser.add_argument('--device', default='cpu', help='cpu or cuda (default: %(default)s)')
    return parser.parse_args(argv)


def asked_sets(
    found: dict[int, TokenSet], asked: Sequence[int] | None, names: Sequence[str], path: Path
) -> list[TokenSet]:
    """The token sets of the classes that are asked for; those an image lacks are told.

    Args:
        found: All sets of the image, by class.
        asked: Classes, or None for all.
        names: Of all classes.
        path: Of the image.
    """
    if asked is None:
        return list(found.values())
    for label in asked:
        if label not in found:
            print(f'{path}: class {names[label]!r} is not predicted', file=sys.stderr)
    return [found[label] for label in asked if label in found]


@exit_on_user_error
def main(argv: Sequence[str] | None = None) -> None:
    """Roll out from the command line.

    Args:
        argv: The arguments; ``sys.argv`` by default.
    """
    args = parse_args(argv)
    cfg = load_checked_config(args, needs=('model', 'test_dataloader', 'default_scope'))
    trust_named(args, args.checkpoint)
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f'--out {str(args.out)!r} is no folder ({error.strerror})') from error
    check_device(args.device)
    model = load_model(cfg, args.checkpoint, args.device)
    names = class_names(model)
    asked = args.classes and [class_label(names, name) for name in args.classes]
    stems = file_names([path.stem for path in args.images])
    entries = []
    try:
        for path in track(args.images, description=f'rolling out into {args.out}'):
            taken = capture_image(model, cfg, path, args.stage)
            sets = find_token_sets(taken, args.weights, args.score_threshold)
            chosen = asked_sets(sets.classes, asked, names, path)
            save_overlays(taken, chosen, names, args.out, stems[len(entries)])
            shown = {found.label for found in chosen}
            instances = [found for found in sets.instances if found.label in shown]
            entries.append(image_entry(path.name, taken, chosen, instances, names))
    finally:
        # What is done is shown, whatever stopped the rest.
        if entries:
            write_page(args.out / 'index.html', entries, title=Path(args.config).stem)
    if asked and not any(entry['classes'] for entry in entries):
        raise UserError(
            f'of --classes {" ".join(args.classes)} none is predicted in any image; '
            'ask for others, or leave it out to get all that are'
        )
    print(f'{args.out / "index.html"}: {len(entries)} images')


if __name__ == '__main__':
    main()
