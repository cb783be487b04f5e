"""Make the weights of other projects ours, and ours timm's; nothing in a file is executed.

::

    python tools/model_converters/convert.py SRC DST
    python tools/model_converters/convert.py SRC DST --from dinov2 --report report.json
    python tools/model_converters/convert.py SRC DST --head
    python tools/model_converters/convert.py SRC DST --to timm

SRC is a .pth, .pt, .bin or .safetensors file, DST a .safetensors or .pth file. Whose weights they
are is read off their names. DST carries the config of the backbone, which is printed too: where
``init_cfg=dict(type='Pretrained', checkpoint=DST, prefix='backbone.')`` stands over a backbone that
does not fit, the error says which options would. What weights cannot say, such as the number of
heads of a model that nobody published, is asked for by a flag.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmtoken.convert.conversion import Conversion, Hints, composed
from mmtoken.convert.describe import ACTIVATIONS
from mmtoken.convert.files import check_target, write, write_report
from mmtoken.convert.heads import settle_head
from mmtoken.convert.recognise import convert, family_names
from mmtoken.convert.summary import print_summary
from mmtoken.convert.to_timm import to_timm
from mmtoken.errors import UserError, exit_on_user_error
from mmtoken.runtime.cli import add_trust_argument, trust_named
from mmtoken.weights import read_checkpoint

from rich.console import Console


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('source', metavar='SRC', help='checkpoint of another project')
    parser.add_argument('target', metavar='DST', type=Path, help='file to write')
    parser.add_argument(
        '--from',
        dest='family',
        metavar='FAMILY',
        help=f'whose weights they are, where names alone mislead: {", ".join(family_names())}',
    )
    parser.add_argument('--to', choices=['timm'], help='write the weights in the layout of timm')
    parser.add_argument('--head', action='store_true', help='keep the classification head')
    parser.add_argument(
        '--report', type=Path, help='write what became of every weight to this .json'
    )
    parser.add_argument('--num-heads', type=int, help='attention heads of a layer')
    parser.add_argument('--activation', choices=ACTIVATIONS, help='of the MLPs')
    parser.add_argument(
        '--img-size',
        type=int,
        nargs=2,
        metavar=('HEIGHT', 'WIDTH'),
        help='of the images that the positions are of, where these are no square',
    )
    parser.add_argument('--eps', type=float, help='of the norms')
    parser.add_argument(
        '--window-size', type=int, help="tokens per side of a window of transformers' Swin V2"
    )
    add_trust_argument(parser)
    return parser.parse_args(argv)


@exit_on_user_error
def main(argv: Sequence[str] | None = None) -> None:
    """Convert a file, and say what was done.

    Args:
        argv: The arguments; ``sys.argv`` by default.
    """
    args = parse_args(argv)
    target = check_target(args.target, Path(args.source))
    trust_named(args, args.source)
    conversion = convert_file(args)
    if args.report:
        write_report(conversion, args.report)
    write(conversion, target, bare=args.to is not None)
    console = Console()
    print_summary(conversion, console)
    console.print(f'wrote {target}', markup=False, highlight=False, soft_wrap=True)


def convert_file(args: argparse.Namespace) -> Conversion:
    """What comes of the file that a command line names.

    Args:
        args: The command line.

    Raises:
        UserError: If it cannot be read, or its weights cannot be made what is asked for.
    """
    state, meta = read_checkpoint(args.source)
    ours = isinstance(meta.get('backbone'), dict)
    if ours and args.to is None:
        raise UserError(
            f'{args.source} is converted already; use it as it is, or write it in the layout of '
            'timm with --to timm'
        )
    hints = Hints(
        args.num_heads,
        args.activation,
        args.img_size and tuple(args.img_size),
        args.eps,
        args.window_size,
    )
    if ours:
        hints.check_taken('a file that is converted already', taken=())
        if args.family or args.head:
            raise UserError(
                f'{args.source} is converted already, with the head that it has: leave out '
                f'{"--from" if args.family else "--head"}'
            )
        return to_timm(state, meta['backbone'], meta.get('layout'))
    conversion = convert(state, args.family, hints)
    settle_head(conversion, args.head)
    if args.to is None:
        return conversion
    there = to_timm(conversion.state, conversion.backbone, conversion.layout)
    return composed(conversion, there)


if __name__ == '__main__':
    main()
