"""The families of layouts that are known, one file each; those that have more marks come first."""

from ..conversion import Family
from .openai_clip import FAMILY as OPENAI_CLIP
from .timm_vit import FAMILY as TIMM_VIT
from .transformers_clip import FAMILY as TRANSFORMERS_CLIP
from .transformers_dinov2 import FAMILY as TRANSFORMERS_DINOV2
from .transformers_dinov3 import FAMILY as TRANSFORMERS_DINOV3
from .transformers_vit import FAMILY as TRANSFORMERS_VIT

FAMILIES: tuple[Family, ...] = (
    TIMM_VIT,
    TRANSFORMERS_VIT,
    TRANSFORMERS_DINOV2,
    TRANSFORMERS_DINOV3,
    TRANSFORMERS_CLIP,
    OPENAI_CLIP,
)
