"""mmpretrain's LoRA around a backbone of ours, which is in need of its own."""

import inspect
from collections.abc import Iterator

from mmpretrain.models.peft.lora import LoRAModel

from mmtoken.config_check.parts import find_parts, type_name
from mmtoken.config_check.problem import Problem
from mmtoken.vit.token_backbone import TokenBackbone


def lora_problems(content: dict, scope: str) -> Iterator[Problem]:
    """Find a `LoRAModel` that holds one of our backbones: it trains, at the learning rates of the
    embedding, and saves without a word what another run cannot load.

    Args:
        content: The config.
        scope: Its default scope.

    Yields:
        The faults.
    """
    parts = {part.path: part for part in find_parts(content, scope, 'model')}
    for path, part in parts.items():
        inner = parts.get((*path, 'module'))
        if part.targets[0] is not LoRAModel or inner is None:
            continue
        kind = inner.targets[0]
        if inspect.isclass(kind) and issubclass(kind, TokenBackbone):
            yield Problem(
                f'{part} is a LoRAModel around {type_name(inner)}, whose projections and layers it '
                "does not know; use type='mmpretrain.LoRABackbone' with targets such as "
                "('attn.qkv',)"
            )
