"""Rotary positions: queries and keys are turned by angles that say where their patch is."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi

import torch
from mmengine.utils import to_2tuple
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmtoken.checks import check_number, check_whole
from mmtoken.errors import UserError
from mmtoken.tokens import Tokens

from .building import build_part
from .schedule import LayerPlan

ROTARY = dict(type='RotaryPosition')
PAIRS = ('halves', 'interleaved')
Key = tuple[tuple[int, int], int, torch.device, torch.dtype]
Kept = tuple[tuple[Key, bool], tuple[Tensor, Tensor]]


class NoRotation(nn.Module):
    """Positions that were added to the tokens turn nothing."""

    def forward(self, q: Tensor, k: Tensor, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """As of `RotaryPosition`."""
        return q, k


@MODELS.register_module()
class RotaryPosition(nn.Module):
    """Axial rotary position (Su et al., arXiv 2104.09864, in rows and columns), as DINOv3 (by
    default) and EVA-02 have it.

    Half of the pairs of channels are turned by the row of the patch, the others by its column; pair
    i of n by coordinate / base^(i/n). The scores of two patches then depend on how they stand to
    each other, and auxiliary tokens, which are not turned, are nowhere. It learns nothing and is of
    any grid.

    Args:
        head_dims: d, channels of a head; must be a multiple of 4.
        base: 100 in DINOv3, 10,000 in EVA-02.
        reference: None, as in DINOv3: coordinates go from −2π to 2π, from border to border of the
            grid, and a patch has those of its center. As in EVA-02 the side of a grid, or its
            rows and columns: a patch has its row and column, as if the grid were of that size.
        pairs: 'halves', as in DINOv3: channel i is paired with i + d/2; 'interleaved', as in
            EVA-02: channel 2i with 2i + 1.
        learned: Whether a learned position is added to the tokens besides (EVA-02).

    Raises:
        UserError: If an argument has no meaning; the message names it.
    """

    def __init__(
        self,
        head_dims: int,
        base: float = 100.0,
        reference: int | Sequence[int] | None = None,
        pairs: str = 'halves',
        learned: bool = False,
    ) -> None:
        super().__init__()
        if head_dims % 4:
            raise UserError(
                f'RotaryPosition turns pairs of channels by rows and as many by columns, and heads '
                f'of {head_dims} channels have no such halves; choose embed_dims / num_heads so '
                'that it is a multiple of 4'
            )
        check_number('base', base, above=0, example=100)
        if pairs not in PAIRS:
            raise UserError(f'pairs {pairs!r} is unknown; use one of {PAIRS}')
        if reference is not None:
            reference = to_2tuple(reference)
            for side in reference:
                check_whole('reference', side, example=16)
        self.head_dims = head_dims
        self.base = base
        self.reference = reference
        self.interleaved = pairs == 'interleaved'
        self.learned = learned
        self._kept: Kept | None = None

    def forward(self, q: Tensor, k: Tensor, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """Turn queries and keys.

        Args:
            q: (B, h, A + H·W, d).
            k: (B, h, A + H·W, d).
            tokens: What they were made of.

        Returns:
            Both, turned.
        """
        cosine, sine = self._tables(tokens.grid, tokens.num_aux, q)
        return q * cosine + self._quarter(q) * sine, k * cosine + self._quarter(k) * sine

    def _quarter(self, t: Tensor) -> Tensor:
        """Every pair turned by 90 degrees."""
        if self.interleaved:
            # (…, d) → (…, d/2, 2)
            first, second = t.unflatten(-1, (-1, 2)).unbind(-1)
            return torch.stack((-second, first), dim=-1).flatten(-2)
        first, second = t.chunk(2, dim=-1)
        return torch.cat((-second, first), dim=-1)

    def _tables(self, grid: tuple[int, int], num_aux: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines, (A + H·W, d) both, kept for the layers that ask for the same."""
        key = (tuple(grid), num_aux, like.device, like.dtype)
        if torch.compiler.is_compiling() or torch.jit.is_tracing():
            return self._make(*key)
        # Training cannot use what was made in inference mode.
        asked = key, torch.is_inference_mode_enabled()
        if self._kept is None or self._kept[0] != asked:
            self._kept = asked, self._make(*key)
        return self._kept[1]

    @torch.no_grad()
    def _make(
        self, grid: tuple[int, int], num_aux: int, device: torch.device, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        count = self.head_dims // 4
        exponents = torch.arange(count, device=device, dtype=torch.float32) / count
        frequencies = self.base**-exponents
        rows, columns = (
            self._coordinates(side, axis, device)[:, None] * frequencies
            for axis, side in enumerate(grid)
        )
        # (H, 1, d/4), (1, W, d/4) → (H, W, d/2) → (H·W, d/2)
        shape = (*grid, count)
        angles = torch.cat([rows[:, None].expand(shape), columns[None].expand(shape)], dim=-1)
        angles = angles.flatten(0, 1)
        angles = angles.repeat_interleave(2, 1) if self.interleaved else angles.repeat(1, 2)
        # Angles of zero for the auxiliary tokens.
        angles = torch.cat([angles.new_zeros(num_aux, self.head_dims), angles])
        return angles.cos().to(dtype), angles.sin().to(dtype)

    def _coordinates(self, side: int, axis: int, device: torch.device) -> Tensor:
        places = torch.arange(side, device=device, dtype=torch.float32)
        if self.reference is None:
            return 2 * pi * (2 * (places + 0.5) / side - 1)
        return places / side * self.reference[axis]


def build_rotary(
    position: str | dict, plans: Sequence[LayerPlan]
) -> tuple[str | None, dict[int, nn.Module]]:
    """What turns the heads of a backbone, and which position is added to its tokens.

    Args:
        position: The kind of the latter, or the config of the former.
        plans: The layers.

    Returns:
        The kind of what is added, None where nothing is; and by the channels of a head what turns
        those of so many, the same for all of them.
    """
    if isinstance(position, str):
        return position, {}
    parts = {
        dims: build_part('position', position, ROTARY, head_dims=dims)
        for dims in {plan.head_dims for plan in plans}
    }
    learned = any(getattr(part, 'learned', False) for part in parts.values())
    return 'learned' if learned else None, parts
