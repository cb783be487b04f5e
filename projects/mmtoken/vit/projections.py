"""The plain q, k, v projection; methods replace it (`projection=dict(type='LIFEProjection')`)."""

from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmtoken.tokens import Tokens


@MODELS.register_module()
class LinearProjection(nn.Linear):
    """One linear map from C channels to q, k and v (Dosovitskiy et al. 2021); mmpretrain's
    `attn.qkv`.

    Every projection has this interface: built with `embed_dims` and `bias`, it maps `Tokens` to q,
    k, v; built with `values_only` as well, for a layer that shares the attention map of another, to
    v.

    Args:
        embed_dims: C.
        bias: Whether the map has a bias.
        values_only: Whether it makes v alone.
    """

    def __init__(self, embed_dims: int, bias: bool = True, values_only: bool = False) -> None:
        super().__init__(embed_dims, (1 if values_only else 3) * embed_dims, bias=bias)
        self.values_only = values_only

    def forward(self, tokens: Tokens) -> tuple[Tensor, ...] | Tensor:
        """q, k and v of every token, three (B, N, C) views of one tensor; or v."""
        made = super().forward(tokens.x)
        return made if self.values_only else made.chunk(3, dim=-1)
