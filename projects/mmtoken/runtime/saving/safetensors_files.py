"""Weights as `.safetensors`, which other programs read without Python's pickles."""

import json
import os
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from mmtoken.runtime.saving.atomic_files import replacing


def write_safetensors(
    weights: Mapping[str, Tensor], path: Path, meta: Mapping[str, Any] | None = None
) -> None:
    """Write weights, or keep what was there before.

    Args:
        weights: Names and tensors. Those that share memory are written each for itself.
        path: The file.
        meta: What else is to be known of them, plain data by names; written as JSON.

    Raises:
        UserError: If the file cannot be written.
    """
    apart = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in weights.items()
    }
    texts = {name: json.dumps(value) for name, value in (meta or {}).items()}
    with replacing(path) as file:
        file.write(save(apart, metadata={**texts, 'format': 'pt'}))


def read_safetensors(filename: str, map_location: Any = None) -> OrderedDict[str, Tensor]:
    """Read weights.

    Args:
        filename: The file.
        map_location: The device; the processor where it is none.

    Returns:
        Names and tensors.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    device = 'cpu' if map_location is None or callable(map_location) else str(map_location)
    return OrderedDict(load_file(os.path.expanduser(filename), device=device))


def read_meta(filename: str) -> dict[str, Any]:
    """Read what stands beside the weights.

    Args:
        filename: The file.

    Returns:
        Plain data by names; what other programs wrote there, and is no JSON, is left out.
    """
    with safe_open(os.path.expanduser(filename), framework='pt') as file:
        texts = file.metadata() or {}
    meta = {}
    for name, text in texts.items():
        with suppress(json.JSONDecodeError):
            meta[name] = json.loads(text)
    return meta
