"""Swin (Liu et al., arXiv 2103.14030): attention within shifted windows."""

from .swin import Swin
from .window_attention import ShiftedWindowAttention, WindowAttention

__all__ = ['ShiftedWindowAttention', 'Swin', 'WindowAttention']
