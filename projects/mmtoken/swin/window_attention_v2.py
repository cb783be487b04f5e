"""Swin V2's attention within windows (Liu et al., arXiv 2111.09883)."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor, nn

from mmtoken.checks import check_whole
from mmtoken.errors import UserError
from mmtoken.pyramid.window_attention import WindowAttention
from mmtoken.pyramid.window_bias import pick_bias
from mmtoken.tokens import Tokens
from mmtoken.vit.projections import LinearProjection

HIDDEN = 512
# Scores are cosines times at most this.
MAX_SCALE = 100.0
# The bias is between 0 and this.
MAX_BIAS = 16.0
# Queries and keys shorter than this have no direction.
SMALLEST = 1e-6
# The buffer of scaled offsets.
OFFSETS = 'relative_coords_table'
# Above what it holds: windows of 2¹⁶ places a side, scaled by those of 2.
LARGEST = 7.0


class WindowAttentionV2(WindowAttention):
    """Attention by the cosine of queries and keys, times a learned scale, with a bias that an MLP
    makes of the relative position; parameter names as in mmpretrain's `WindowMSAV2`.

        softmax(exp(min(τ, ln 100))·q̂·k̂ᵀ + 16·σ(MLP(offset)) + mask)

    The linear projection has a bias for q and v alone; another, such as LIFE's, its own.

    Args:
        embed_dims: C.
        num_heads: h; must divide C.
        window_size: Places per window side, s.
        projection: As of `WindowAttention`.
        qkv_bias: Whether there is a bias.
        pretrained_window_size: That of the weights' training, by which offsets are scaled; 0 for
            this one.
        **kwargs: As of `WindowAttention`.

    Raises:
        UserError: If the window that offsets are scaled by is of one place, or a `qk_scale` is
            given.
    """

    def __init__(
        self,
        embed_dims: int,
        num_heads: int,
        window_size: int,
        projection: dict,
        qkv_bias: bool = True,
        pretrained_window_size: int = 0,
        **kwargs,
    ) -> None:
        check_whole('pretrained_window_size', pretrained_window_size, least=0, example=8)
        if pretrained_window_size == 1:
            raise UserError(
                'pretrained_window_size 1 is neither 0, for the window size itself, nor a whole '
                'number from 2 up; correct it'
            )
        if kwargs.get('qk_scale') is not None:
            raise UserError(
                f'qk_scale {kwargs["qk_scale"]} has no place in Swin V2, which learns a scale for '
                'each head; leave it out'
            )
        self.reach = (pretrained_window_size or window_size) - 1
        super().__init__(embed_dims, num_heads, window_size, projection, qkv_bias, **kwargs)
        self.has_biases = isinstance(self.qkv, LinearProjection) and qkv_bias
        if self.has_biases:
            # Keys have none.
            self.qkv.bias = None
            self.q_bias = nn.Parameter(torch.zeros(embed_dims))
            self.v_bias = nn.Parameter(torch.zeros(embed_dims))

    def make_positions(self) -> None:
        self.logit_scale = nn.Parameter(torch.full((self.num_heads, 1, 1), log(10)))
        self.cpb_mlp = nn.Sequential(
            nn.Linear(2, HIDDEN), nn.ReLU(inplace=True), nn.Linear(HIDDEN, self.num_heads, False)
        )

    def made_of_window(self) -> dict[str, Tensor]:
        table = offsets(self.window_size, self.reach)
        return {OFFSETS: table, **super().made_of_window()}

    def project(self, tokens: Tokens) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = self.qkv(tokens)
        return (q + self.q_bias, k, v + self.v_bias) if self.has_biases else (q, k, v)

    def scaled(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        scale = self.logit_scale.clamp(max=log(MAX_SCALE)).exp() * q.shape[-1] ** 0.5
        return unit(q) * scale, unit(k)

    def bias(self) -> Tensor:
        table = self.cpb_mlp(self.relative_coords_table).flatten(0, 2)
        return MAX_BIAS * pick_bias(table, self.relative_position_index).sigmoid()


def unit(t: Tensor) -> Tensor:
    """t/|t| over the channels, and zero, with a gradient of zero, where t is.

    Keys of padding are zero, since they have no bias: there torch's `normalize` multiplies
    gradients by 1e12, which float16 turns into infinity and then all that learns into NaN.

    Args:
        t: (…, d).
    """
    wide = t.to(torch.promote_types(t.dtype, torch.float32))
    norm = wide.norm(dim=-1, keepdim=True)
    directed = norm > SMALLEST
    # 1 in the place of what is not taken: its gradient would be.
    return (wide * torch.where(directed, 1 / norm.where(directed, 1), 0)).to(t.dtype)


def window_of(table: Tensor) -> int:
    """By which window the offsets of a table were scaled, in tokens a side.

    Args:
        table: As of `offsets`.

    Returns:
        r + 1; 0 where a table of one place does not say it.

    Raises:
        UserError: If it is no table of offsets.
    """
    size = (table.shape[1] + 1) // 2 if table.ndim == 4 else 0
    if size == 1:
        return 0
    largest = table.abs().max().item() if table.numel() else 0.0
    if not size or not 0 < largest < LARGEST:
        raise UserError(
            f'{OFFSETS} of shape {(*table.shape,)}, whose largest number is {largest:g}, is no '
            'table of the offsets within a window: the weights are damaged; leave it out, or use '
            'others'
        )
    # It is log2(1 + 8 (s − 1)/r)/3.
    return 1 + round(8 * (size - 1) / (2 ** (3 * largest) - 1))


def offsets(size: int, reach: int) -> Tensor:
    """Relative positions in a window on a logarithmic scale.

    Args:
        size: Places per window side, s.
        reach: The offset that becomes 8 before its logarithm is taken.

    Returns:
        (1, 2s − 1, 2s − 1, 2), rows before columns: sign(t)·log₂(|t| + 1)/3, t = 8·offset/reach.
    """
    steps = torch.arange(1 - size, size, dtype=torch.float32) * (8 / reach)
    steps = steps.sign() * torch.log2(steps.abs() + 1) / 3
    return torch.stack(torch.meshgrid(steps, steps, indexing='ij'), dim=-1).unsqueeze(0)
