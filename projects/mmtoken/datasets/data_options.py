"""The options of a data set of scenes: what a converter's command line and its meta.json say."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

from mmtoken.datasets.digits import Digits
from mmtoken.datasets.glyphs import Glyphs
from mmtoken.datasets.scene_options import SceneOptions
from mmtoken.datasets.source import Source
from mmtoken.errors import UserError


@dataclass(frozen=True)
class SceneDataOptions(ABC):
    """What a data set consists of.

    Attributes:
        name: What the data set is called.
        version: Raised whenever the same options draw other files.

    Args:
        cls_train: Training images for classification, one object each.
        cls_val: Validation images for classification.
        train: Training scenes for detection and segmentation.
        val: Validation scenes for detection and segmentation.
        cls_size: Height and width of the classification images in pixels.
        size: Height and width of the scenes in pixels.
        min_objects: Fewest objects in a scene; spelled min_digits, or min_glyphs, to the user.
        max_objects: Most objects in a scene; the more, the smaller each is drawn.
        occlusion: Largest share of an object that others may hide, in [0, 1).
        difficulty: 'easy', 'medium', 'demanding' or 'hard'.
        seed: Seed of every scene's random stream.

    Raises:
        UserError: If a value, or a combination of them, makes no data set.
    """

    name: ClassVar[str]
    version: ClassVar[int]

    cls_train: int = 6000
    cls_val: int = 1500
    train: int = 1500
    val: int = 300
    cls_size: int = 64
    size: int = 128
    min_objects: int = 1
    max_objects: int = 6
    occlusion: float = 0.1
    difficulty: str = 'easy'
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ('cls_train', 'cls_val', 'train', 'val'):
            if getattr(self, name) < 1:
                raise UserError(
                    f'{dashed(name)} {getattr(self, name)} asks for no image; choose 1 or more'
                )
        for task in ('classification', 'detection'):
            self.scene(task)

    @property
    @abstractmethod
    def source(self) -> Source:
        """What is drawn, checked."""

    @classmethod
    @abstractmethod
    def spell(cls, field: str) -> str:
        """A field's name on the command line and in files: 'min_objects' is 'min_digits' there."""

    def spelled(self) -> dict[str, Any]:
        """All options by the names that users see."""
        return {self.spell(name): value for name, value in asdict(self).items()}

    def meta(self) -> dict[str, Any]:
        """What meta.json says of the data set."""
        return {'name': self.name, 'version': self.version, 'options': self.spelled()}

    def scene(self, task: str) -> SceneOptions:
        """Options of the scenes of 'classification' or 'detection', checked."""
        if task == 'classification':
            return SceneOptions(self.source, self.cls_size, 1, 1, 0.0, self.difficulty, self.seed)
        return SceneOptions(
            self.source,
            self.size,
            self.min_objects,
            self.max_objects,
            self.occlusion,
            self.difficulty,
            self.seed,
        )

    def count(self, task: str, split: str) -> int:
        """Number of images of 'classification' or 'detection' in a split."""
        return getattr(self, f'cls_{split}' if task == 'classification' else split)

    @property
    def total(self) -> int:
        """Number of images to draw."""
        return self.cls_train + self.cls_val + self.train + self.val


@dataclass(frozen=True)
class DigitDataOptions(SceneDataOptions):
    """What a data set of digit scenes consists of; see `SceneDataOptions`.

    Args:
        shortcut: What tells the class of training images for classification without their digit:
            'none', the 'ground', or a second, smaller 'digit'. In validation nothing does.
        shortcut_share: In how many training images it does.
    """

    name = 'digit scenes'
    version = 3

    shortcut: str = 'none'
    shortcut_share: float = 0.95

    def scene(self, task: str) -> SceneOptions:
        scene = super().scene(task)
        if task != 'classification':
            return scene
        return replace(scene, shortcut=self.shortcut, shortcut_share=self.shortcut_share)

    def spelled(self) -> dict[str, Any]:
        found = super().spelled()
        if self.shortcut == 'none':
            # Data sets from before there were shortcuts are the same ones.
            del found['shortcut'], found['shortcut_share']
        return found

    @property
    def source(self) -> Digits:
        return Digits()

    @classmethod
    def spell(cls, field: str) -> str:
        return field.replace('objects', 'digits')


@dataclass(frozen=True)
class GlyphDataOptions(SceneDataOptions):
    """What a data set of glyph scenes consists of; see `SceneDataOptions`.

    Args:
        cls_train: Training images for classification: 125 of each of the default's classes.
        cls_val: Validation images for classification: 25 of each.
        classes: How many of the glyphs, the first ones of `mmtoken.datasets.glyph_classes.GLYPHS`.
        imbalance: How many times rarer the rarest class is than the commonest, in training.
    """

    name = 'glyph scenes'
    version = 3

    cls_train: int = 12000
    cls_val: int = 2400
    classes: int = 96
    imbalance: float = 1.0

    @property
    def source(self) -> Glyphs:
        return Glyphs(self.classes, self.imbalance)

    @classmethod
    def spell(cls, field: str) -> str:
        return field.replace('objects', 'glyphs')

    def meta(self) -> dict[str, Any]:
        return {**super().meta(), 'classes': list(self.source.classes)}


def dashed(name: str) -> str:
    """A name as options of the command line are written."""
    return name.replace('_', '-')
