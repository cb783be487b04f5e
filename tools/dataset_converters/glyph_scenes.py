"""Draw glyph scenes: letters of three alphabets and signs, as if written by hand, on textures.

The same files as those of digit scenes, with as many classes as asked for and no digit among them:
a source to pre-train on. Needs no download: the glyphs are warped characters of the fonts of
matplotlib, the textures come with scikit-image. About a minute on two cores::

    python tools/dataset_converters/glyph_scenes.py --out data/glyph_scenes

A second call with the same options finds the data set and does nothing.
"""

from collections.abc import Sequence

from mmtoken.datasets.data_options import GlyphDataOptions
from mmtoken.datasets.scene_command import draw
from mmtoken.errors import exit_on_user_error


@exit_on_user_error
def main(argv: Sequence[str] | None = None) -> None:
    """Write the data set."""
    draw(GlyphDataOptions, __doc__, argv)


if __name__ == '__main__':
    main()
