"""Data sets that need no download."""

from mmtoken.datasets.data_options import DigitDataOptions, GlyphDataOptions
from mmtoken.datasets.digits import Digits
from mmtoken.datasets.glyph_classes import glyph_names
from mmtoken.datasets.glyphs import Glyphs
from mmtoken.datasets.palette import scene_palette
from mmtoken.datasets.scene_data import write_scene_data
from mmtoken.datasets.scene_options import SceneOptions
from mmtoken.datasets.scenes import Instance, Scene, render_scene

__all__ = [
    'DigitDataOptions',
    'Digits',
    'GlyphDataOptions',
    'Glyphs',
    'Instance',
    'Scene',
    'SceneOptions',
    'glyph_names',
    'render_scene',
    'scene_palette',
    'write_scene_data',
]
