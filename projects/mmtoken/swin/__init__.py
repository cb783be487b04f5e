"""Swin and Swin V2 (Liu et al., arXiv 2103.14030 and 2111.09883): attention in shifted windows."""

from .swin import Swin
from .swin_v2 import SwinV2
from .window_attention_v2 import WindowAttentionV2

__all__ = ['Swin', 'SwinV2', 'WindowAttentionV2']
