"""LV-ViT and token labeling (Jiang et al., arXiv 2104.10858): every patch has its own label."""

from .conv_stem import ConvStem
from .lv_vit import LVViT
from .mix_token import MixToken
from .token_label_classifier import TokenLabelClassifier
from .token_label_head import TokenLabelHead

__all__ = [
    'ConvStem',
    'LVViT',
    'MixToken',
    'TokenLabelClassifier',
    'TokenLabelHead',
]
