"""The families of layouts that are known, one file each; the more particular ones come first."""

from ..conversion import Family
from .cat import FAMILY as CAT
from .dinov2 import FAMILY as DINOV2
from .dinov3 import FAMILY as DINOV3
from .dwnet import FAMILY as DWNET
from .life import FAMILY as LIFE
from .lv_vit import FAMILY as LV_VIT
from .mae import ENCODER as MAE_ENCODER
from .mae import FAMILY as MAE
from .mmpretrain import FAMILY as MMPRETRAIN
from .mmpretrain_swin import FAMILY as MMPRETRAIN_SWIN
from .openai_clip import FAMILY as OPENAI_CLIP
from .swin import FAMILY as SWIN
from .timm_eva import FAMILY as TIMM_EVA
from .timm_vit import FAMILY as TIMM_VIT
from .transformers_clip import FAMILY as TRANSFORMERS_CLIP
from .transformers_dinov2 import FAMILY as TRANSFORMERS_DINOV2
from .transformers_dinov3 import FAMILY as TRANSFORMERS_DINOV3
from .transformers_swin import FAMILY as TRANSFORMERS_SWIN
from .transformers_vit import FAMILY as TRANSFORMERS_VIT

FAMILIES: tuple[Family, ...] = (
    MAE,
    DINOV2,
    DINOV3,
    LIFE,
    LV_VIT,
    TIMM_EVA,
    TIMM_VIT,
    MAE_ENCODER,
    MMPRETRAIN,
    MMPRETRAIN_SWIN,
    SWIN,
    CAT,
    DWNET,
    TRANSFORMERS_VIT,
    TRANSFORMERS_DINOV2,
    TRANSFORMERS_DINOV3,
    TRANSFORMERS_CLIP,
    TRANSFORMERS_SWIN,
    OPENAI_CLIP,
)
