"""LoRA: a trained backbone that stays as it is, and low-rank additions that learn (Hu et al., arXiv
2106.09685), with mmpretrain's layers.
"""

from .lora_backbone import LoRABackbone
from .lora_projection import LoRAProjection

__all__ = ['LoRABackbone', 'LoRAProjection']
