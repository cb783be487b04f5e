"""Check that a run can write where it is to write."""

import tempfile
from pathlib import Path

from mmtoken.errors import UserError


def check_report(folder: Path) -> None:
    """Refuse a folder whose README is of something else than a report, before it is written over.

    Args:
        folder: Where a report goes; may be missing.

    Raises:
        UserError: If there is a `README.md` without the `results.json` of an earlier report.
    """
    page = folder / 'README.md'
    if page.exists() and not (folder / 'results.json').exists():
        raise UserError(
            f'{page} is of no earlier report, which has a results.json beside it; give --out '
            'another folder, or remove that page'
        )


def check_folder(name: str, folder: str) -> None:
    """Refuse a folder that cannot be made or written to, before a run has anything to write.

    Args:
        name: The flag or key that names the folder, for the error.
        folder: The folder; it and its parents are made where they are missing. Addresses with
            ``://`` are left to the library.

    Raises:
        UserError: If it cannot be written to.
    """
    if '://' in folder:
        return
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        # What permissions say is not enough: root may do all, and a file system may be read-only.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f'{name} {folder!r} cannot be written to: {error.strerror}; name another folder'
        ) from error
