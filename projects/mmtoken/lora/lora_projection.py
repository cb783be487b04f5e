"""A low-rank addition to the fused q, k, v projection."""

from __future__ import annotations

from mmpretrain.models.peft.lora import LoRALinear
from torch import Tensor

from mmtoken.tokens import Tokens


class LoRAProjection(LoRALinear):
    """mmpretrain's `LoRALinear` around a `LinearProjection`, which maps `Tokens` and not a tensor.

    One low-rank map adds to q, k and v together, as to the fused linear map of other ViTs.

    Args:
        original_layer: The projection.
        alpha: As of `LoRALinear`, as are the next ones: what is added is multiplied by alpha/rank.
        rank: Channels between the two maps.
        drop_rate: Dropout probability before them.
    """

    def forward(self, tokens: Tokens) -> tuple[Tensor, ...] | Tensor:
        """q, k and v of every token, each (B, N, C); or v, as the projection makes them."""
        made = self.original_layer(tokens)
        added = self.scaling * self.lora_up(self.lora_down(self.lora_dropout(tokens.x)))
        if self.original_layer.values_only:
            return made + added
        return tuple(old + new for old, new in zip(made, added.chunk(3, dim=-1), strict=True))
