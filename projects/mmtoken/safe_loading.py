"""Let torch's safe unpickler read what mmengine itself writes into checkpoints, and nothing else.

torch ≥ 2.6 loads tensors and plain containers only. mmengine's checkpoints also hold its log
buffers, which mmengine 0.10.7 then cannot read back; allowing exactly those keeps resuming
possible without executing anything from a file. (OneDL's mmengine loads whole checkpoints on its
own terms, and falls back to unsafe unpickling with a warning; what we load goes through here.)
"""

from collections.abc import Callable
from pickle import UnpicklingError

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer


def _buffer_method(owner: type, name: str) -> Callable:
    """Stands in for `getattr`, by which log buffers name their own methods in a checkpoint.

    Raises:
        UnpicklingError: If anything but a log buffer's public method is asked for.
    """
    if owner is not HistoryBuffer or name.startswith('_'):
        raise UnpicklingError(f'a checkpoint may not ask for the attribute {name!r} of {owner!r}')
    return getattr(HistoryBuffer, name)


def allow_mmengine_checkpoints() -> None:
    """Register the classes of mmengine's own checkpoints with torch's safe unpickler.

    To be called before each of our loads: OneDL's mmengine allows the same classes for the time of
    a load of its own and afterwards forbids them again.
    """
    multiarray = np._core.multiarray if hasattr(np, '_core') else np.core.multiarray
    kinds = (np.float64, np.float32, np.int64, np.int32, np.uint32, np.uint8)
    torch.serialization.add_safe_globals(
        [
            HistoryBuffer,
            (_buffer_method, 'builtins.getattr'),
            multiarray._reconstruct,
            multiarray.scalar,
            np.ndarray,
            np.dtype,
            *{type(np.dtype(kind)) for kind in kinds},
        ]
    )
