"""Read the predictions that `tools/test.py --out` writes; nothing in the file is executed.

The libraries write them as a pickle, whose reader would run what stands in it. Our design.
"""

import codecs
import collections
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mmtoken.errors import UserError


def _storage(content: bytes) -> Any:
    """The numbers of a tensor, a file within the file, which torch would unpickle freely."""
    return torch.load(io.BytesIO(content), weights_only=True)


_MULTIARRAY = np._core.multiarray if hasattr(np, '_core') else np.core.multiarray
# All that stands in predictions: tensors, arrays and what both are made of.
_ALLOWED = {
    ('_codecs', 'encode'): codecs.encode,
    ('collections', 'OrderedDict'): collections.OrderedDict,
    ('torch._utils', '_rebuild_tensor_v2'): torch._utils._rebuild_tensor_v2,
    ('torch.storage', '_load_from_bytes'): _storage,
    ('numpy', 'ndarray'): np.ndarray,
    ('numpy', 'dtype'): np.dtype,
    **{
        (f'numpy.{core}.multiarray', name): getattr(_MULTIARRAY, name)
        for core in ('core', '_core')
        for name in ('_reconstruct', 'scalar')
    },
}


class _Unpickler(pickle.Unpickler):
    """Gives a pickle what it asks for only where that is on the list."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f'it asks for {module}.{name}, refused')
        return _ALLOWED[module, name]


def read_predictions(file: Path) -> list[dict]:
    """Read predictions.

    Args:
        file: What `tools/test.py --out` wrote.

    Returns:
        One dict an image.

    Raises:
        UserError: If the file is damaged, or holds anything but tensors, arrays and plain data.
    """
    try:
        with file.open('rb') as stream:
            return _Unpickler(stream).load()
    except (OSError, MemoryError):
        raise
    except Exception as error:  # Damaged, it may break anything that it names.
        reason = ' '.join(str(error).split()).rstrip('.')
        raise UserError(
            f'predictions {file} cannot be read ({type(error).__name__}: {reason}); the file may '
            'be damaged, or hold code, which is never executed: write it again with '
            'tools/test.py --out'
        ) from error
