"""Data sets that need no download."""

from mmtoken.datasets.digit_data import DigitDataOptions, write_digit_scenes
from mmtoken.datasets.digit_scenes import Instance, Scene, SceneOptions, render_scene

__all__ = [
    'DigitDataOptions',
    'Instance',
    'Scene',
    'SceneOptions',
    'render_scene',
    'write_digit_scenes',
]
