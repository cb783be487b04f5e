"""Weights as `.safetensors`, which other programs read without Python's pickles.

The library is optional; the format is that of https://github.com/huggingface/safetensors.
"""

import os
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mmtoken.errors import UserError
from mmtoken.runtime.saving.atomic_saving import replacing


def require_safetensors() -> None:
    """Raises a UserError where the library is not installed."""
    try:
        import safetensors.torch  # noqa: F401
    except ModuleNotFoundError as error:
        raise UserError(
            'safetensors is not installed, which .safetensors files are written and read with; '
            'pip install safetensors'
        ) from error


def write_safetensors(weights: Mapping[str, Tensor], path: Path) -> None:
    """Write weights, or keep what was there before.

    Args:
        weights: Names and tensors. Those that share memory are written each for itself.
        path: The file.

    Raises:
        UserError: If the library is missing, or the file cannot be written.
    """
    require_safetensors()
    from safetensors.torch import save

    tensors = {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    with replacing(path) as file:
        file.write(save(contiguous, metadata={'format': 'pt'}))


def read_safetensors(filename: str, map_location: Any = None) -> OrderedDict[str, Tensor]:
    """Read weights.

    Args:
        filename: The file.
        map_location: The device; the processor where it is none.

    Returns:
        Names and tensors.

    Raises:
        UserError: If the library is missing.
        FileNotFoundError: If there is no such file.
    """
    require_safetensors()
    from safetensors.torch import load_file

    device = 'cpu' if map_location is None or callable(map_location) else str(map_location)
    return OrderedDict(load_file(os.path.expanduser(filename), device=device))
