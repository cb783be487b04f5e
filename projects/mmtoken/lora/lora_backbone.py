"""mmpretrain's `LoRAModel` around one of our backbones."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from mmengine.logging import print_log
from mmpretrain.models.peft.lora import LoRALinear, LoRAModel
from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmtoken.checks import check_number, check_probability, check_whole
from mmtoken.errors import UserError, near_miss
from mmtoken.vit import LinearProjection
from mmtoken.vit.token_backbone import TokenBackbone
from mmtoken.weights import is_pretrained

from .lora_projection import LoRAProjection

QKV = ('attn.qkv',)
# Of a layer, before what is alike in all of them.
_PLACE = re.compile(r'^((layers|stages|blocks)\.\d+\.)+')


@MODELS.register_module()
class LoRABackbone(LoRAModel):
    """A backbone whose weights stay as they are, and low-rank additions to some of its linear
    layers, which learn (LoRA, Hu et al., arXiv 2106.09685).

    It is used as the backbone that it holds: in classifiers, detectors and segmentors, with its
    `out_strides`, layers and traces. mmpretrain's `LoRAModel` differs: it cannot wrap a projection
    of `Tokens`; it reads weights when it is built; its hooks drop the weights, and forgive the
    missing ones, of whatever else a detector has; layer-wise learning rates take all of its
    parameters for the embedding.

    Where the backbone's `init_cfg` names a checkpoint, state dicts hold the additions alone, and
    the rest is read from that file: when a run starts, or when a state dict is loaded, as for a
    test. Without one they hold everything.

    Args:
        module: Config of the backbone. What its `frozen_stages` freezes learns no additions either.
        targets: Names of the linear layers, or their ends ('attn.qkv', 'attn.proj',
            'ffn.layers.1'), or regular expressions of whole names.
        rank: Channels between the two maps of an addition.
        alpha: What is added is multiplied by alpha / rank.
        drop_rate: Dropout probability before an addition.

    Raises:
        UserError: If an argument has no meaning, a target is no linear layer's, or `module` is none
            of our backbones; the message names it.
    """

    def __init__(
        self,
        module: dict,
        targets: Sequence[str] = QKV,
        rank: int = 8,
        alpha: float = 8,
        drop_rate: float = 0.0,
    ) -> None:
        if not isinstance(module, Mapping):
            raise UserError(
                f'module {module!r} is no config of a backbone; use one, such as '
                "dict(type='TokenViT')"
            )
        check_whole('rank', rank, example=8)
        check_number('alpha', alpha, above=0, example=8)
        check_probability('drop_rate', drop_rate)
        # Not LoRAModel's own, which would read the weights.
        super(LoRAModel, self).__init__()
        with MODELS.switch_scope_and_registry('mmpretrain') as registry:
            self.module = registry.build(dict(module))
        if not isinstance(self.module, TokenBackbone):
            raise UserError(
                f'LoRABackbone cannot hold {type(self.module).__name__}, which is none of our '
                'backbones; use a TokenViT, or mmpretrain.LoRAModel'
            )
        self.rank, self.alpha, self.drop_rate = rank, alpha, drop_rate
        self.targets = _names(targets)
        self.apply_lora()
        self._set_lora_trainable()
        inits = module.get('init_cfg')
        if any(map(is_pretrained, inits if isinstance(inits, (list, tuple)) else [inits])):
            self._register_state_dict_hook(_drop_base)
            self._register_load_state_dict_pre_hook(_supply_base, with_module=True)

    def apply_lora(self) -> None:
        """Put each linear layer that is a target into one with an addition."""
        layers = {
            name: layer
            for name, layer in self.module.named_modules()
            if isinstance(layer, nn.Linear)
        }
        chosen: dict[str, nn.Linear] = {}
        for target in self.targets:
            found = {name: layers[name] for name in layers if _matches(target, name)}
            if not found:
                ends = dict.fromkeys(_PLACE.sub('', name) for name in layers)
                hint = near_miss(target, ends) or f'; its layers end in {", ".join(ends)}'
                raise UserError(
                    f'targets {target!r} is no linear layer of {type(self.module).__name__}{hint}'
                )
            chosen |= found
        for name, layer in chosen.items():
            self._replace_module(name, layer, self.alpha, self.rank, self.drop_rate)
        self.changed = tuple(chosen)

    def _replace_module(
        self, module_name: str, current_module: nn.Linear, alpha: float, rank: int, drop_rate: float
    ) -> None:
        kind = LoRAProjection if isinstance(current_module, LinearProjection) else LoRALinear
        added = kind(current_module, alpha, rank, drop_rate)
        self.module.set_submodule(module_name, added)

    def _set_lora_trainable(self) -> None:
        super()._set_lora_trainable()
        # Neither those of frozen layers learn, nor those of layers that do not run.
        self.module.freeze()

    def init_weights(self) -> None:
        """Initialize the backbone as its `init_cfg` says, once; additions start at nothing."""
        if not self.is_init:
            with self._plain():
                self.module.init_weights()
            self.is_init = True
            print_log(
                f'LoRA of rank {self.rank}, alpha {self.alpha}, learns beside {len(self.changed)} '
                f'linear layers: {", ".join(self.targets)}',
                logger='current',
            )

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """As of the backbone, of names that have `module.` in front."""
        return self.module.get_layer_depth(param_name, f'{prefix}module.')

    @contextmanager
    def _plain(self) -> Iterator[None]:
        """Have the backbone as it was before, with the names of its weights."""
        added = {name: self.module.get_submodule(name) for name in self.changed}
        for name, layer in added.items():
            self.module.set_submodule(name, layer.original_layer)
        try:
            yield
        finally:
            for name, layer in added.items():
                self.module.set_submodule(name, layer)

    def __getattr__(self, name: str) -> Any:
        try:
            return nn.Module.__getattr__(self, name)
        except AttributeError:
            if name == 'module':  # It is not built yet.
                raise
            return getattr(self.module, name)


def _names(targets: Sequence[str]) -> tuple[str, ...]:
    names = (targets,) if isinstance(targets, str) else targets
    whole = isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names)
    if not whole or not names:
        raise UserError(f'targets {targets!r} names no layers; use names, such as {QKV}')
    for name in names:
        try:
            re.compile(name)
        except re.error as error:
            raise UserError(
                f'targets {name!r} is neither a name nor a regular expression ({error}); use one, '
                f'such as {QKV[0]!r}'
            ) from error
    return tuple(names)


def _matches(target: str, name: str) -> bool:
    return f'.{name}'.endswith(f'.{target}') or re.fullmatch(target, name) is not None


def _is_added(name: str) -> bool:
    return '.lora_' in name


def _drop_base(_, state: dict[str, Tensor], prefix: str, __) -> None:
    """Keep the weights of the backbone itself out of a state dict, and nobody else's."""
    for name in [name for name in state if name.startswith(prefix) and not _is_added(name)]:
        del state[name]


def _supply_base(backbone: LoRABackbone, state: dict[str, Tensor], prefix: str, *_) -> None:
    """Add what state dicts do not hold, so that nothing is missing where they are loaded."""
    backbone.init_weights()
    own = backbone.module.state_dict(prefix=f'{prefix}module.')
    for name in own:
        if not _is_added(name):
            state.setdefault(name, own[name])
