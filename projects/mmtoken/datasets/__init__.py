"""Data sets that need no download, and label maps for any."""

from mmtoken.datasets.data_options import DigitDataOptions, GlyphDataOptions
from mmtoken.datasets.digits import Digits
from mmtoken.datasets.glyph_classes import glyph_names
from mmtoken.datasets.glyphs import Glyphs
from mmtoken.datasets.label_store import LabelStore
from mmtoken.datasets.label_store_writer import LabelStoreWriter
from mmtoken.datasets.load_token_labels import LoadTokenLabels, PackTokenLabels
from mmtoken.datasets.palette import scene_palette
from mmtoken.datasets.scene_data import write_scene_data
from mmtoken.datasets.scene_options import SceneOptions
from mmtoken.datasets.scenes import Instance, Scene, render_scene
from mmtoken.datasets.track_affine import TrackAffine

__all__ = [
    'DigitDataOptions',
    'Digits',
    'GlyphDataOptions',
    'Glyphs',
    'Instance',
    'LabelStore',
    'LabelStoreWriter',
    'LoadTokenLabels',
    'PackTokenLabels',
    'Scene',
    'SceneOptions',
    'TrackAffine',
    'glyph_names',
    'render_scene',
    'scene_palette',
    'write_scene_data',
]
