"""Draw digit scenes: real handwritten digits on photographs of textures, for all three tasks.

Needs no download: the digits come with scikit-learn, the textures with scikit-image. About half
a minute on two cores::

    python tools/dataset_converters/digit_scenes.py --out data/digit_scenes

A second call with the same options finds the data set and does nothing.
"""

from collections.abc import Sequence

from mmtoken.datasets.data_options import DigitDataOptions
from mmtoken.datasets.scene_command import draw
from mmtoken.errors import exit_on_user_error


@exit_on_user_error
def main(argv: Sequence[str] | None = None) -> None:
    """Write the data set."""
    draw(DigitDataOptions, __doc__, argv)


if __name__ == '__main__':
    main()
