"""Read the predictions that `tools/test.py --out` writes; nothing in the file is executed.

The libraries write them as a pickle, whose reader would run what stands in it. Our design.
"""

from pathlib import Path

from mmtoken.errors import UserError, named_reason
from mmtoken.runtime.safe_pickles import read_pickle


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
            return read_pickle(stream)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # Damaged, it may break anything that it names.
        raise UserError(
            f'predictions {file} cannot be read ({named_reason(error)}); the file may be damaged, '
            'or hold code, which is never executed: write it again with tools/test.py --out'
        ) from error
