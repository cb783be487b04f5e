"""The tokens of several layers at once, by the function that DINO's users call."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from mmtoken.checks import check_whole
from mmtoken.errors import UserError
from mmtoken.tokens import Tokens

from .arguments import resolve_layers


class IntermediateLayers:
    """Mixed into a backbone, which has `embed`, `run`, `normed` and `unit_ends`."""

    def get_intermediate_layers(
        self,
        images: Tensor,
        n: int | Sequence[int] = 1,
        reshape: bool = False,
        return_class_token: bool = False,
        norm: bool = True,
    ) -> tuple[Tensor, ...] | tuple[tuple[Tensor, Tensor], ...]:
        """The patch tokens of several layers, or stages of a pyramid, as DINOv2's function of this
        name gives them (facebookresearch/dinov2).

        Only what runs counts: the layers up to the last of `out_indices`, by default all.

        Args:
            images: (B, in_channels, height, width), any height and width.
            n: How many layers, from the end; or which ones, where negatives count from the end.
            reshape: Whether maps are returned in place of sequences.
            return_class_token: Whether every output is a pair with the layer's class token.
            norm: Whether outputs are normed, each by the norm of its stage.

        Returns:
            One output a layer, in the order of the layers: (B, H·W, C), or contiguous maps (B, C,
            H, W); without class, distillation and register tokens. H, W and C are the layer's own,
            where tokens are pooled. Or pairs of these and (B, C).

        Raises:
            UserError: If there are no such layers, or no class token, or no norm of the stage.
        """
        ends = self.unit_ends
        chosen = sorted(set(_resolve(n, len(ends))))
        if return_class_token and 'cls_token' not in self.aux_layout:
            raise UserError(
                f'return_class_token needs a class token, which this {type(self).__name__} has '
                'not; leave it out, or build the backbone with one'
            )
        bare = [unit for unit in chosen if norm and self.norm_of(ends[unit]) is None]
        if bare:
            raise UserError(
                f'stage {bare[0]} has no norm, since it is not among the out_indices of this '
                f'{type(self).__name__}; use norm=False, or build the backbone with it among them'
            )
        outs, tokens, start = [], self.embed(images), 0
        for unit in chosen:
            tokens = self.run(tokens, start, ends[unit] + 1)
            start = ends[unit] + 1
            outs.append(self.normed(tokens, start - 1) if norm else tokens)
        found = tuple(out.feature_map() if reshape else out.patches for out in outs)
        if not return_class_token:
            return found
        return tuple((patches, out.x[:, 0]) for patches, out in zip(found, outs, strict=True))

    @property
    def unit_ends(self) -> tuple[int, ...]:
        """The last layer of each unit that `n` counts, of those that run: every layer is one."""
        return tuple(range(self.num_running))

    def normed(self, tokens: Tokens, index: int) -> Tokens:
        """The tokens that left a layer, normed as its output is."""
        return tokens.with_(x=self.norm_of(index)(tokens.x))


def _resolve(n: int | Sequence[int], count: int) -> Sequence[int]:
    """The units that `n` means, of so many.

    Raises:
        UserError: If they are not there.
    """
    if isinstance(n, Sequence):
        return resolve_layers('n', n, count, minimum=1)
    check_whole('n', n, example=4)
    if n > count:
        raise UserError(
            f'n {n} is more than the {count} that run; use up to {count}, or build the backbone '
            'with out_indices=-1, which runs all'
        )
    return range(count - n, count)
