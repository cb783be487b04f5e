"""The plain vision transformer that every method of the toolbox plugs into."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from mmengine.utils import to_2tuple
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmtoken.checks import check_number
from mmtoken.tokens import Tokens

from .arguments import (
    ARCHS,
    check_counts,
    check_frozen_stages,
    check_image,
    check_interpolate_mode,
    check_out_type,
    check_position,
    check_rates,
    resolve_arch,
    resolve_layers,
)
from .aux_tokens import aux_layout
from .base_pool import build_pools
from .building import NORM, PROJECTION, STEM, build_norm, build_part, check_token_norm, complete
from .initialization import init_like_deit
from .mlps import MLP_CFG
from .position import adapt_position_on_load, make_position, resize_position
from .rotary_position import build_rotary
from .schedule import check_shared_windows, plan_layers
from .token_backbone import TokenBackbone
from .token_block import TokenBlock


@MODELS.register_module()
class TokenViT(TokenBackbone):
    """A vision transformer as a sequence of layers over `Tokens`, for classification and dense
    prediction alike.

    Parameter names are those of mmpretrain's `VisionTransformer`, so its DeiT weights load as they
    are. The final norm is applied to every output (mmpretrain norms only the last layer's). Layers
    above the last of `out_indices` are built, so that checkpoints fit, but frozen and not run.

    Args:
        arch: A key of `archs`, such as 'deit-tiny' or 'large', or a dict with `embed_dims`,
            `num_layers`, `num_heads` and `feedforward_channels`, or with `stages`: a list of dicts
            with `depth`, `embed_dims`, `num_heads` and, if need be, `pattern` and
            `feedforward_channels` (four times as many by default). Every stage but the first pools
            the tokens that it gets, and has its own width and norm. `default_arch` by default.
        img_size: Image size in pixels, side or (height, width), of the position embedding. Other
            sizes work: the embedding is brought to them as `interpolate_mode` says.
        patch_size: Patch side in pixels. Images that it does not divide are zero-padded at the
            bottom and right.
        in_channels: Image channels.
        num_aux_tokens: A, auxiliary tokens before the patches: 0 none, 1 class, 2 class and
            distillation, more registers.
        num_registers: How many of them are registers, by default those beyond two; one less than
            `num_aux_tokens` for a class token and no distillation token, as in DINOv2.
        out_indices: Layers whose output is returned, an index or a sequence; negatives count from
            the end.
        out_type: What is returned of each: 'cls_token' (B, C), or a pair of class and distillation
            tokens where there are both; 'avg_featmap' (B, C), the mean patch token; 'featmap' (B,
            C, H, W); 'raw' (B, N, C). Where layers pool, H and W are smaller above them.
        qkv_bias: Whether the projections have a bias, `default_qkv_bias` by default.
        drop_rate: Dropout probability after the embedding, the output projections and in the MLPs.
        attn_drop_rate: Dropout probability of the attention weights.
        drop_path_rate: Stochastic depth of the last layer; it grows linearly from 0 at the first.
        window_size: Tokens per side of an attention window, patches where nothing is pooled; 0
            means every layer is global. A grid that it does not divide is padded in every layer,
            of which a check of the config warns.
        global_attn_indexes: Layers that stay global where `window_size` is set; negatives count
            from the end.
        stem: Config of what makes patches tokens, `default_stem` by default, built with
            `in_channels`, `embed_dims` and `patch_size` added. Here and in the other parts, a
            config without a type keeps the default's, and the default's other arguments.
        projection: Config of the q, k, v projection of every layer, `default_projection` by
            default.
        mlp: Config of the MLP of every layer, `default_mlp` by default: `MLP` or `SwiGLU`.
        layer_scale_init_value: What every branch is multiplied by at first, channel by channel
            (LayerScale); 0 for no such scales.
        qk_norm: Whether every head norms its queries and keys.
        pre_norm: Whether the embedding is normed before the first layer (CLIP).
        residual_scale: λ, by which every branch is divided before it is added to the residual
            stream; that of the preset by default, 1 where it has none.
        pool_before: Layers before which the tokens are pooled, so that they and those above see
            fewer; not the first. Negatives count from the end. The stride of feature maps doubles
            with each, so `SimpleFeaturePyramid` behind them wants twice the `patch_size`.
        pool: Config of the pooling layer, a `BasePool`, `dict(type='TokenPool')` by default, built
            with `embed_dims`, `out_dims`, `num_aux_tokens` and `norm_cfg` added; or a list, with
            one for each layer that is pooled before.
        pattern: A letter for each layer (PSViT): F has an attention map of its own, S shares that
            of the layer before, and makes values alone. By default all have their own.
        frozen_stages: -1 nothing frozen, 0 the embedding, n the embedding and the first n layers,
            with the last of them the final norm too: no gradient, in evaluation mode.
        position: 'learned', or 'sinusoidal': fixed, without a gradient, but in the state dict and
            brought to other grids like learned ones; or the config of a rotary position,
            `dict(type='RotaryPosition')`, which is built with `head_dims` added and turns queries
            and keys in place of an embedding; `default_position` by default.
        interpolate_mode: How position embeddings come to another grid, of an image or of weights
            that are loaded: 'bicubic' stretches them, 'antialias' does so as timm and DINOv2 with
            registers, 'offset' as DINOv2 without; 'tile' repeats them, so that windows of the grid
            they were learned on see what they saw then (Bolya et al., arXiv 2311.05613).
        with_cp: Whether to recompute each layer in the backward pass to save memory (activation
            checkpointing).
        norm_cfg: Config of the norms, `default_norm` by default.
        init_cfg: `dict(type='Pretrained', checkpoint=…, prefix='backbone.', allow_partial=False)`
            loads weights strictly (`vit/pretrained.py`); other mmengine init configs work as usual.

    Raises:
        UserError: If an argument has no meaning; the message names it.
    """

    archs = ARCHS
    default_arch = 'deit-tiny'
    default_stem = STEM
    default_projection = PROJECTION
    default_qkv_bias = True
    default_norm = NORM
    default_mlp = MLP_CFG
    default_position = 'learned'

    def __init__(
        self,
        arch: str | dict | None = None,
        img_size: int | tuple[int, int] = 224,
        patch_size: int = 16,
        in_channels: int = 3,
        num_aux_tokens: int = 1,
        num_registers: int | None = None,
        out_indices: int | Sequence[int] = -1,
        out_type: str = 'cls_token',
        qkv_bias: bool | None = None,
        drop_rate: float = 0.0,
        attn_drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        window_size: int = 0,
        global_attn_indexes: Sequence[int] = (),
        stem: dict | None = None,
        projection: dict | None = None,
        mlp: dict | None = None,
        layer_scale_init_value: float = 0.0,
        qk_norm: bool = False,
        pre_norm: bool = False,
        residual_scale: float | None = None,
        pool_before: Sequence[int] = (),
        pool: dict | Sequence[dict] | None = None,
        pattern: str | None = None,
        frozen_stages: int = -1,
        position: str | dict | None = None,
        interpolate_mode: str = 'bicubic',
        with_cp: bool = False,
        norm_cfg: dict | None = None,
        init_cfg: dict | list | None = None,
    ) -> None:
        super().__init__(init_cfg)
        check_image(img_size, patch_size, in_channels)
        check_rates(drop_rate, attn_drop_rate, drop_path_rate)
        arch = resolve_arch(self.default_arch if arch is None else arch, self.archs)
        self.plans, pooled = plan_layers(arch, pattern, pool_before, pool)
        self.embed_dims = channels = self.plans[0].embed_dims
        self.num_layers = len(self.plans)
        self.img_size = to_2tuple(img_size)
        self.patch_size = patch_size
        self.in_channels = in_channels
        self.num_aux_tokens = num_aux_tokens
        self.with_cp = with_cp
        self.frozen_stages = frozen_stages
        check_counts(num_aux_tokens, window_size)
        check_frozen_stages(frozen_stages, self.num_layers, 'layers')
        self.aux_layout = aux_layout(num_aux_tokens, num_registers)
        check_out_type(out_type, self.aux_layout)
        position = self.default_position if position is None else position
        check_position(position)
        check_interpolate_mode(interpolate_mode)
        self.interpolate_mode = interpolate_mode
        self.out_type = out_type
        self.out_indices = resolve_layers('out_indices', out_indices, self.num_layers, minimum=1)
        global_layers = resolve_layers('global_attn_indexes', global_attn_indexes, self.num_layers)
        check_shared_windows(self.plans, global_layers, window_size)
        projection = complete(projection, arch.get('projection', self.default_projection))
        norm_cfg = complete(norm_cfg, self.default_norm)
        check_token_norm('norm_cfg', norm_cfg)
        if qkv_bias is None:
            qkv_bias = arch.get('qkv_bias', self.default_qkv_bias)
        if residual_scale is None:
            residual_scale = arch.get('residual_scale', 1.0)
        check_number('residual_scale', residual_scale, above=0)
        check_number('layer_scale_init_value', layer_scale_init_value, example=1e-5)
        mlp = complete(mlp, self.default_mlp)
        position, rotary = build_rotary(position, self.plans)

        self.patch_embed = build_part(
            'stem',
            stem,
            {**self.default_stem, **arch.get('stem', {})},
            in_channels=in_channels,
            embed_dims=channels,
            patch_size=patch_size,
        )
        self.patch_resolution = tuple(-(-side // patch_size) for side in self.img_size)
        for name, count in self.aux_layout.items():
            setattr(self, name, nn.Parameter(torch.zeros(1, count, channels)))
        num_patches = self.patch_resolution[0] * self.patch_resolution[1]
        self.pos_embed = make_position(position, num_aux_tokens + num_patches, channels)
        self.drop_after_pos = nn.Dropout(drop_rate)
        self.pre_norm = build_norm(norm_cfg, channels) if pre_norm else nn.Identity()
        self.layers = nn.ModuleList(
            TokenBlock(
                plan.embed_dims,
                plan.num_heads,
                plan.feedforward_channels,
                projection,
                qkv_bias,
                drop_rate,
                attn_drop_rate,
                drop_path,
                0 if index in global_layers else window_size,
                norm_cfg,
                residual_scale,
                plan.shares,
                plan.passes_on and index + 1 < self.num_running,
                mlp,
                layer_scale_init_value,
                qk_norm,
                rotary.get(plan.head_dims),
            )
            for index, (plan, drop_path) in enumerate(
                zip(
                    self.plans,
                    np.linspace(0, drop_path_rate, self.num_layers).tolist(),
                    strict=True,
                )
            )
        )
        widths = {i: (self.plans[i - 1].embed_dims, self.plans[i].embed_dims) for i in pooled}
        self.pools = build_pools(pool, norm_cfg, widths, num_aux_tokens)
        ends = {plan.stage: plan.embed_dims for plan in self.plans}
        self.stage_norms = nn.ModuleDict(
            {str(stage): build_norm(norm_cfg, width) for stage, width in [*ends.items()][:-1]}
        )
        self.ln1 = build_norm(norm_cfg, self.plans[-1].embed_dims)
        init_like_deit(self, [p for p in self.embedding_parameters() if p.requires_grad])
        self.freeze()
        self._register_load_state_dict_pre_hook(adapt_position_on_load, with_module=True)

    def embed(self, images: Tensor, swap: Tensor | None = None) -> Tokens:
        """Patch embedding, auxiliary tokens and position embedding: images → the first layer's
        `Tokens`; `swap` as in `forward`.
        """
        x, grid = self.patch_embed(images)
        if swap is not None:
            # (B, H, W) → (B, H·W, 1)
            x = torch.where(swap.flatten(1).unsqueeze(-1), x.flip(0), x)
        if self.aux_layout:
            # (B, H·W, C) → (B, A + H·W, C)
            aux = torch.cat([getattr(self, name) for name in self.aux_layout], dim=1)
            x = torch.cat([aux.expand(x.shape[0], -1, -1), x], dim=1)
        num_aux = self.num_aux_tokens
        if self.pos_embed is not None:
            x = x + resize_position(
                self.pos_embed, self.patch_resolution, grid, num_aux, self.interpolate_mode
            )
        return Tokens(self.pre_norm(self.drop_after_pos(x)), tuple(grid), num_aux)

    def output(self, tokens: Tokens, index: int):
        """What a layer returns as `out_type` says, of the tokens that left it."""
        tokens = self.normed(tokens, index)
        if self.out_type == 'featmap':
            return tokens.feature_map()
        if self.out_type == 'avg_featmap':
            return tokens.patches.mean(dim=1)
        if self.out_type == 'raw':
            return tokens.x
        classified = tokens.x[:, : self.num_class_tokens].unbind(dim=1)
        return classified if self.num_class_tokens > 1 else classified[0]

    def _embedding_norms(self) -> list[nn.Module]:
        return [self.pre_norm]
