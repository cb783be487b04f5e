"""Let torch's safe unpickler read what mmengine itself writes into checkpoints, and nothing else.

torch ≥ 2.6 loads tensors and plain containers only. mmengine's checkpoints also hold its log
buffers, which mmengine 0.10.7 then cannot read back; allowing exactly those keeps resuming possible
without executing anything from a file.
"""

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer


def allow_mmengine_checkpoints() -> None:
    """Register the classes of mmengine's own checkpoints with torch's safe unpickler."""
    multiarray = np._core.multiarray if hasattr(np, '_core') else np.core.multiarray
    dtypes = {
        type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.uint32, np.uint8)
    }
    torch.serialization.add_safe_globals(
        [HistoryBuffer, multiarray._reconstruct, multiarray.scalar, np.ndarray, np.dtype, *dtypes]
    )
