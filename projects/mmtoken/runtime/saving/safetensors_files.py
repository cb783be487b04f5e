"""Weights as `.safetensors`, which other programs read without Python's pickles."""

import os
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from mmtoken.runtime.saving.atomic_saving import replacing


def write_safetensors(weights: Mapping[str, Tensor], path: Path) -> None:
    """Write weights, or keep what was there before.

    Args:
        weights: Names and tensors. Those that share memory are written each for itself.
        path: The file.

    Raises:
        UserError: If the file cannot be written.
    """
    apart = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in weights.items()
    }
    with replacing(path) as file:
        file.write(save(apart, metadata={'format': 'pt'}))


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
