"""The skeleton of hierarchical backbones: stages of blocks over `Tokens`, merging between them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from mmcv.cnn.bricks.transformer import PatchEmbed
from mmengine.utils import to_2tuple
from torch import Tensor, nn

from mmtoken.errors import UserError, near_miss
from mmtoken.tokens import Tokens
from mmtoken.vit.arguments import (
    check_frozen_stages,
    check_image,
    check_rates,
    resolve_layers,
)
from mmtoken.vit.building import build_norm, check_token_norm, complete
from mmtoken.vit.initialization import init_like_deit
from mmtoken.vit.options import norm_option
from mmtoken.vit.position import resize_position
from mmtoken.vit.schedule import LayerPlan
from mmtoken.vit.token_backbone import TokenBackbone

from .arguments import check_mlp_ratio, resolve_pyramid
from .blocks import norm_tokens
from .output_norms import complete_norms, update_pyramid_names
from .patch_merging import PatchMerging
from .resizing import adapt_pyramid_on_load

OUT_TYPES = ('featmap', 'avg_featmap', 'raw')
NORM = dict(type='LN')


class Stage(nn.Module):
    """The blocks of one stage, and the merging after or before it.

    Args:
        blocks: The blocks.
        downsample: The merging, or None after the last stage, or before the first.
    """

    def __init__(self, blocks: Sequence[nn.Module], downsample: nn.Module | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample


class TokenPyramid(TokenBackbone):
    """Stages of blocks over `Tokens`, each with half the rows and columns of the one before and
    twice its channels; what all hierarchical backbones share. Subclasses say how tokens mix.

    Args:
        arch: A key of `archs`, or a dict with `embed_dims`, that of the first stage, `depths` and
            `num_heads`, one for each stage (`arch_keys`). `default_arch` by default.
        img_size: Image size in pixels, side or (height, width), of the position embedding. Images
            of any other size work, those whose grids are smaller than a window with
            `pad_small_map`.
        patch_size: Patch side in pixels.
        in_channels: Image channels.
        out_indices: Stages whose output is returned; negatives count from the end.
        out_type: What is returned of each: 'featmap' (B, C, H, W), 'avg_featmap' (B, C), the mean
            token, or 'raw' (B, H·W, C); normed by a norm of the stage's own.
        mlp_ratio: Hidden channels of the MLPs over C.
        drop_rate: Dropout probability after the embedding.
        drop_path_rate: Stochastic depth of the last block; it grows linearly from 0 at the first.
        use_abs_pos_embed: Whether patches have an absolute position embedding besides.
        patch_norm: Whether a norm follows the embedding of patches.
        frozen_stages: -1 nothing frozen, 0 the embedding, n the embedding and the first n stages:
            no gradient, in evaluation mode.
        with_cp: Whether to recompute each block in the backward pass to save memory.
        norm_cfg: Config of the norms.
        init_cfg: As of `TokenViT`: pretrained weights are loaded strictly.

    Raises:
        UserError: If an argument has no meaning; the message names it.
    """

    archs: dict[str, dict] = {}
    default_arch = 'tiny'
    # The last two have a number for each stage.
    arch_keys = ('embed_dims', 'depths', 'num_heads')
    # How many blocks one of `depths` counts.
    blocks_per_depth = 1
    # Whether a stage owns the merging before it (mmpretrain's Swin V2), and not the one after it.
    merges_first = False
    # Whether the norm of a merging comes after its map.
    merges_post_norm = False
    num_aux_tokens = 0
    num_class_tokens = 0
    interpolate_mode = 'bicubic'
    aux_layout: dict[str, int] = {}

    def __init__(
        self,
        arch: str | dict | None = None,
        img_size: int | tuple[int, int] = 224,
        patch_size: int = 4,
        in_channels: int = 3,
        out_indices: int | Sequence[int] = -1,
        out_type: str = 'featmap',
        mlp_ratio: float = 4.0,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.1,
        use_abs_pos_embed: bool = False,
        patch_norm: bool = True,
        frozen_stages: int = -1,
        with_cp: bool = False,
        norm_cfg: dict | None = None,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_image(img_size, patch_size, in_channels)
        check_rates(drop_rate, 0.0, drop_path_rate)
        arch = self.default_arch if arch is None else arch
        arch = resolve_pyramid(arch, self.archs, self.arch_keys)
        self.depths = tuple(self.blocks_per_depth * depth for depth in arch['depths'])
        if out_type not in OUT_TYPES:
            raise UserError(
                f'out_type {out_type!r} is unknown; use one of {OUT_TYPES}'
                f'{near_miss(str(out_type), OUT_TYPES)}'
            )
        count = len(self.depths)
        check_frozen_stages(frozen_stages, count, 'stages')
        self.out_type, self.with_cp, self.frozen_stages = out_type, with_cp, frozen_stages
        self.mlp_ratio = mlp_ratio
        self.img_size, self.patch_size, self.in_channels = (
            to_2tuple(img_size),
            patch_size,
            in_channels,
        )
        self.out_stages = resolve_layers('out_indices', out_indices, count, 1, 'stages')
        ends = np.cumsum(self.depths)
        # Of blocks, as `TokenBackbone` counts.
        self.out_indices = tuple(int(ends[stage]) - 1 for stage in self.out_stages)
        self.num_layers = int(ends[-1])
        self.norm_cfg = norm_cfg = complete(norm_cfg, NORM)
        check_token_norm('norm_cfg', norm_cfg)
        widths = [arch['embed_dims'] * 2**stage for stage in range(count)]
        self.embed_dims = widths[0]
        check_mlp_ratio(mlp_ratio, widths[0])
        self.plans = tuple(
            LayerPlan(width, heads, int(mlp_ratio * width), stage)
            for stage, (width, heads, depth) in enumerate(
                zip(widths, arch[self.arch_keys[2]], self.depths, strict=True)
            )
            for _ in range(depth)
        )
        self.patch_embed = PatchEmbed(
            in_channels,
            widths[0],
            kernel_size=patch_size,
            stride=patch_size,
            norm_cfg=norm_cfg if patch_norm else None,
        )
        self.patch_resolution = tuple(-(-side // patch_size) for side in self.img_size)
        if use_abs_pos_embed:
            patches = self.patch_resolution[0] * self.patch_resolution[1]
            self.absolute_pos_embed = nn.Parameter(torch.zeros(1, patches, widths[0]))
        self.drop_after_pos = nn.Dropout(drop_rate)
        rates = self.drop_path_rates(drop_path_rate)
        self.stages = nn.ModuleList(
            Stage(
                [
                    self.make_block(index, rates[index], norm_cfg)
                    for index in range(end - depth, end)
                ],
                self._make_merging(stage, widths, norm_cfg),
            )
            for stage, (end, depth) in enumerate(zip(ends.tolist(), self.depths, strict=True))
        )
        for stage in self.out_stages:
            self.add_module(f'norm{stage}', self.make_output_norm(widths[stage], norm_cfg))
        init_like_deit(self, self.embedding_parameters())
        self.freeze()
        self.register_load_state_dict_pre_hook(type(self).adapt_on_load)

    def adapt_on_load(self, state: dict[str, Tensor], prefix: str = '', *_) -> None:
        """As of `TokenBackbone`; tables of relative positions and earlier names, too."""
        self.update_names(state, prefix)
        adapt_pyramid_on_load(self, state, prefix)

    def update_names(self, state: dict[str, Tensor], prefix: str = '') -> None:
        """As `update_pyramid_names` does, for who loads a model around it, too."""
        update_pyramid_names(len(self.depths), state, prefix)

    def complete_on_load(self, state: dict[str, Tensor]) -> None:
        """As of `TokenBackbone`: norms of outputs that a classifier has not."""
        complete_norms(self, state)

    def options(self) -> dict[str, Any]:
        """What it is, by the options that make it so; a subclass adds those of its mixer."""
        return dict(
            arch=[(plan.embed_dims, plan.num_heads) for plan in self.plans],
            mlp_ratio=self.mlp_ratio,
            patch_size=self.patch_size,
            in_channels=self.in_channels,
            use_abs_pos_embed=hasattr(self, 'absolute_pos_embed'),
            patch_norm=self.patch_embed.norm is not None,
            norm_cfg=norm_option(build_norm(self.norm_cfg, self.embed_dims)),
        )

    def make_block(self, index: int, drop_path_rate: float, norm_cfg: dict) -> nn.Module:
        """The block of an index, which a subclass makes of its mixer."""
        raise NotImplementedError

    def make_output_norm(self, width: int, norm_cfg: dict) -> nn.Module:
        """The norm of an output of so many channels."""
        return build_norm(norm_cfg, width)

    def drop_path_rates(self, last: float) -> list[float]:
        """The stochastic depth of each block, linear from 0 to that of the last."""
        return np.linspace(0, last, self.num_layers).tolist()

    def _make_merging(self, stage: int, widths: list[int], norm_cfg: dict) -> nn.Module | None:
        upper = stage if self.merges_first else stage + 1
        if upper not in range(1, len(widths)):
            return None
        return PatchMerging(widths[upper - 1], widths[upper], norm_cfg, self.merges_post_norm)

    def embed(self, images: Tensor, swap: Tensor | None = None) -> Tokens:
        """Images → the first block's `Tokens`; `swap` as in `forward`."""
        x, grid = self.patch_embed(images)
        if swap is not None:
            x = torch.where(swap.flatten(1).unsqueeze(-1), x.flip(0), x)
        if hasattr(self, 'absolute_pos_embed'):
            x = x + resize_position(
                self.absolute_pos_embed, self.patch_resolution, grid, 0, self.interpolate_mode
            )
        return Tokens(self.drop_after_pos(x), tuple(grid), 0)

    def output(self, tokens: Tokens, index: int) -> Tensor:
        """What a stage returns as `out_type` says, of the tokens that left its last block."""
        tokens = self.normed(tokens, index)
        if self.out_type == 'featmap':
            return tokens.feature_map()
        return tokens.x if self.out_type == 'raw' else tokens.x.mean(dim=1)

    def normed(self, tokens: Tokens, index: int) -> Tokens:
        """As of `TokenBackbone`."""
        return tokens.with_(x=norm_tokens(self.norm_of(index), tokens.x))

    @property
    def unit_ends(self) -> tuple[int, ...]:
        """The last block of each stage that runs."""
        return tuple(end - 1 for end in accumulate(self.depths[: max(self.out_stages) + 1]))

    @property
    def layers(self) -> list[nn.Module]:
        """All blocks."""
        return [block for stage in self.stages for block in stage.blocks]

    @property
    def pools(self) -> dict[str, nn.Module]:
        """The mergings, by the index of the block after them."""
        starts = [*accumulate(self.depths)][:-1]
        owners = self.stages[1:] if self.merges_first else self.stages[:-1]
        return {str(start): stage.downsample for start, stage in zip(starts, owners, strict=True)}

    def norm_of(self, layer: int) -> nn.Module | None:
        """The norm of a block's stage; None where its output is not returned."""
        return getattr(self, f'norm{self.plans[layer].stage}', None)

    def embedding_parameters(self) -> list[nn.Parameter]:
        """The position embedding, where there is one."""
        return [self.absolute_pos_embed] if hasattr(self, 'absolute_pos_embed') else []

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """As of `TokenViT`: 0 for the embedding, 1 … L for the blocks, each with the merging before
        it, L + 1 for what follows; and the number of depths, L + 2.
        """
        depths = self.num_layers + 2
        if not param_name.startswith(prefix):
            return depths - 1, depths
        name, _, rest = param_name.removeprefix(prefix).partition('.')
        if name != 'stages':
            return (0 if name in ('patch_embed', 'absolute_pos_embed') else depths - 1), depths
        stage, part, index = rest.split('.')[:3]
        before = sum(self.depths[: int(stage)])
        if part == 'downsample':
            return before + (0 if self.merges_first else self.depths[int(stage)]) + 1, depths
        return before + int(index) + 1, depths

    def freeze(self) -> None:
        """Let neither the frozen stages learn, nor what is above the last output."""
        last = max(self.out_stages)
        unused = [*self.stages[last + 1 :]]
        if not self.merges_first:
            unused.append(self.stages[last].downsample)
        for module in (*self._frozen_modules(), *unused):
            if module is not None:
                module.requires_grad_(False)
        if self.frozen_stages >= 0:
            for parameter in self.embedding_parameters():
                parameter.requires_grad_(False)

    def _frozen_modules(self) -> list[nn.Module]:
        if self.frozen_stages < 0:
            return []
        norms = [getattr(self, f'norm{stage}', None) for stage in range(self.frozen_stages)]
        found = [self.patch_embed, self.drop_after_pos, *self.stages[: self.frozen_stages], *norms]
        return [module for module in found if module is not None]
