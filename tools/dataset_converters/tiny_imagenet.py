"""List the validation images of Tiny-ImageNet and their classes, as the configs read them.

::

    python tools/dataset_converters/tiny_imagenet.py data/tiny-imagenet-200

Tiny-ImageNet has a folder for each class in training, and one folder with a file of classes for
validation. This writes meta/val.txt beside them, a line an image: file name and class, numbered
in the order of the folders. Nothing else is written or moved.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from mmtoken.errors import UserError, exit_on_user_error

ANNOTATIONS = Path('val', 'val_annotations.txt')


def list_validation(folder: Path) -> list[str]:
    """The lines of meta/val.txt.

    Args:
        folder: Of the data set, as it is distributed.

    Raises:
        UserError: If the folder is not laid out so, or an image is of no class or missing.
    """
    train, annotations = folder / 'train', folder / ANNOTATIONS
    if not train.is_dir() or not annotations.is_file():
        raise UserError(
            f'{str(folder)!r} has no train folder or no {ANNOTATIONS}; give the folder '
            'tiny-imagenet-200 as it is distributed'
        )
    classes = sorted(path.name for path in train.iterdir() if path.is_dir())
    labels = {name: label for label, name in enumerate(classes)}
    lines = []
    for number, line in enumerate(annotations.read_text('utf-8').splitlines(), start=1):
        name, _, rest = line.partition('\t')
        found = rest.partition('\t')[0]
        if found not in labels:
            raise UserError(
                f'{annotations}, line {number}: class {found!r} is none of the {len(classes)} '
                f'folders of {train}; get the data set anew'
            )
        if not (folder / 'val' / 'images' / name).is_file():
            raise UserError(
                f'{annotations}, line {number}: val/images/{name} is missing; get the data set anew'
            )
        lines.append(f'{name} {labels[found]}')
    return lines


@exit_on_user_error
def main(argv: Sequence[str] | None = None) -> None:
    """Write the list from the command line.

    Args:
        argv: The arguments; ``sys.argv`` by default.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folder', type=Path, help='tiny-imagenet-200, as it is distributed')
    folder = parser.parse_args(argv).folder
    lines = list_validation(folder)
    target = folder / 'meta' / 'val.txt'
    try:
        target.parent.mkdir(exist_ok=True)
        target.write_text(''.join(f'{line}\n' for line in lines), 'utf-8')
    except OSError as error:
        raise UserError(f'{str(target)!r} cannot be written ({error.strerror})') from error
    print(f'{target}: {len(lines)} images')


if __name__ == '__main__':
    main()
