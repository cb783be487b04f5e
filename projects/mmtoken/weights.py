"""What a checkpoint's weights are, whoever wrote it, and which configs ask for one."""

import re
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.model import PretrainedInit
from mmengine.registry import WEIGHT_INITIALIZERS
from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor

from mmtoken.errors import UserError

# Under what programs keep the weights beside an optimizer and the like: mmengine and timm, then
# DeiT and MAE, then LV-ViT where nothing else is there. What else they keep there, such as
# `model_ema`, is another model's.
_PLACES = ('state_dict', 'model', 'state_dict_ema')
# What distributed training and `torch.compile` put before every name.
_WRAPPERS = re.compile(r'^(module\.|_orig_mod\.)+')


def weights_of(checkpoint: Any, source: str = 'the checkpoint') -> OrderedDict[str, Tensor]:
    """The weights of a checkpoint, by the names that the model without its wrappers has.

    Args:
        checkpoint: What a checkpoint file holds: the weights, or a dict with them under
            'state_dict', 'model' or else 'state_dict_ema'.
        source: What it is called, for the error.

    Returns:
        Names and tensors, without 'module.' and '_orig_mod.'; the versions of modules that torch
        keeps beside them are kept.

    Raises:
        UserError: If it holds no weights.
    """
    state = checkpoint
    if isinstance(checkpoint, Mapping):
        inner = (checkpoint.get(place) for place in _PLACES)
        state = next((found for found in inner if isinstance(found, Mapping)), checkpoint)
    named = isinstance(state, Mapping)
    if not named or not any(isinstance(value, Tensor) for value in state.values()):
        held = sorted(map(str, state)) if named else type(state).__name__
        raise UserError(
            f"{source} holds {held or 'nothing'} and no weights; save a model's state_dict() alone "
            "or under 'state_dict'"
        )
    weights = OrderedDict((_WRAPPERS.sub('', name), value) for name, value in state.items())
    weights._metadata = getattr(state, '_metadata', OrderedDict())
    return weights


def read_state(checkpoint: str) -> OrderedDict[str, Tensor]:
    """Read the weights of a checkpoint file, as `read_checkpoint`; names and tensors."""
    return read_checkpoint(checkpoint)[0]


def read_checkpoint(checkpoint: str) -> tuple[OrderedDict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint file: nothing in it is executed.

    Args:
        checkpoint: The file, or an address that mmengine knows.

    Returns:
        Names and tensors, as of `weights_of`; and what is said of them beside them, such as
        `backbone`, the config that tools/model_converters/convert.py writes there.

    Raises:
        UserError: If the file does not exist, is damaged, or holds no weights.
    """
    if '://' not in str(checkpoint) and not Path(str(checkpoint)).expanduser().is_file():
        raise UserError(
            f'checkpoint {checkpoint} does not exist; train it first, or name the file you have'
        )
    loaded = CheckpointLoader.load_checkpoint(str(checkpoint), map_location='cpu')
    weights = weights_of(loaded, f'checkpoint {checkpoint}')
    meta = loaded.get('meta')
    return weights, dict(meta) if isinstance(meta, Mapping) else {}


def is_pretrained(init_cfg: Any) -> bool:
    """Whether a config initializes by a checkpoint, however its type is written.

    Args:
        init_cfg: What a config has there. Its type may be 'Pretrained', the same with a scope
            ('mmengine.Pretrained'), where the class stands, or the class.
    """
    kind = init_cfg.get('type') if isinstance(init_cfg, Mapping) else None
    if isinstance(kind, str):
        kind = kind and WEIGHT_INITIALIZERS.get(kind)
    return isinstance(kind, type) and issubclass(kind, PretrainedInit)
