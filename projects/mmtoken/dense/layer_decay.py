"""Layer-wise learning rates for classifiers, detectors and segmentors over our backbones."""

from __future__ import annotations

from mmengine.logging import print_log
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS, OPTIMIZERS
from mmpretrain.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn

from mmtoken.errors import UserError
from mmtoken.unwrap import unwrap
from mmtoken.vit.aux_tokens import AUX_NAMES

# Positions, absolute and relative, and those of Swin V2 beside its scale, which the released code
# spares by name.
POSITIONS = (
    'pos_embed',
    'absolute_pos_embed',
    'relative_position_bias_table',
    'cpb_mlp',
    'logit_scale',
)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class TokenViTLayerDecayConstructor:
    """Layer-wise learning-rate decay (BEiT, ViTDet) for any model with a `backbone` that knows its
    layers' depths.

    A parameter of depth i out of D gets lr·rate^(D − 1 − i), and those of the backbone this times
    `backbone_lr_mult`: necks and heads the full rate. Norms, biases and other 1-D parameters,
    position embeddings, tables and networks of relative positions, Swin V2's scales and auxiliary
    tokens get no weight decay.
    Parameters of the same depth and decay share a group, so optimizers stay fused. In mmdet and
    mmsegmentation configs it is
    `constructor='mmpretrain.TokenViTLayerDecayConstructor'`.

    Args:
        optim_wrapper_cfg: Config of the optimizer wrapper with its `optimizer`.
        paramwise_cfg: `layer_decay_rate`, in (0, 1], and `backbone_lr_mult`, above 0, both 1 by
            default, which leaves only the weight-decay groups.

    Raises:
        UserError: If `paramwise_cfg` has another key or value, or the model has no such backbone.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        self.optim_wrapper_cfg = dict(optim_wrapper_cfg)
        options = dict(paramwise_cfg or {})
        self.rate = options.pop('layer_decay_rate', 1.0)
        self.backbone_lr_mult = options.pop('backbone_lr_mult', 1.0)
        numbers = all(isinstance(n, (int, float)) for n in (self.rate, self.backbone_lr_mult))
        if options or not numbers or not 0 < self.rate <= 1 or not self.backbone_lr_mult > 0:
            raise UserError(
                f'paramwise_cfg {dict(paramwise_cfg or {})} is not understood; '
                'TokenViTLayerDecayConstructor takes layer_decay_rate in (0, 1], backbone_lr_mult '
                'above 0 and nothing else'
            )

    def __call__(self, model: nn.Module) -> OptimWrapper:
        """Build the optimizer wrapper with its parameter groups."""
        wrapper_cfg = dict(self.optim_wrapper_cfg)
        wrapper_cfg.setdefault('type', 'OptimWrapper')
        optimizer_cfg = dict(wrapper_cfg.pop('optimizer'))
        optimizer_cfg['params'] = self.param_groups(
            unwrap(model), optimizer_cfg['lr'], optimizer_cfg.get('weight_decay', 0.0)
        )
        optimizer = OPTIMIZERS.build(optimizer_cfg)
        return OPTIM_WRAPPERS.build(wrapper_cfg, default_args=dict(optimizer=optimizer))

    def param_groups(self, model: nn.Module, lr: float, weight_decay: float) -> list[dict]:
        """The groups by depth, shallow first, each with `params`, `lr`, `weight_decay`, `lr_scale`
        and `param_names`.

        Args:
            model: The model.
            lr: The full learning rate.
            weight_decay: The weight decay of those that decay.
        """
        backbone = getattr(model, 'backbone', None)
        if not hasattr(backbone, 'get_layer_depth'):
            raise UserError(
                f'{type(model).__name__} has no backbone with get_layer_depth, which layer decay '
                'asks; use a TokenViT backbone or another constructor'
            )
        groups: dict[tuple[int, bool, bool], dict] = {}
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            depth, depths = backbone.get_layer_depth(name, prefix='backbone.')
            decays = parameter.ndim > 1 and not {*name.split('.')} & {*AUX_NAMES, *POSITIONS}
            scale = self.rate ** (depths - 1 - depth)
            # The backbone's last norm is as deep as the heads.
            multiplied = self.backbone_lr_mult != 1 and name.startswith('backbone.')
            if multiplied:
                scale *= self.backbone_lr_mult
            group = groups.setdefault(
                (depth, not multiplied, decays),
                dict(
                    params=[],
                    lr=lr * scale,
                    weight_decay=weight_decay if decays else 0.0,
                    lr_scale=scale,
                    param_names=[],
                ),
            )
            group['params'].append(parameter)
            group['param_names'].append(name)
        ordered = sorted(groups.items())
        for (depth, *_), group in ordered:
            print_log(
                f'depth {depth}: lr {group["lr"]:.3g}, weight decay {group["weight_decay"]:.3g}, '
                f'{len(group["params"])} tensors',
                logger='current',
            )
        return [group for _, group in ordered]
