"""The families of layouts that are known, one file each; those that have more marks come first."""

from ..conversion import Family
from .timm_vit import FAMILY as TIMM_VIT

FAMILIES: tuple[Family, ...] = (TIMM_VIT,)
