"""Checkpoint files: what is converted, and what comes of it, with the config of the backbone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mmtoken.errors import UserError
from mmtoken.runtime.saving.atomic_saving import save_checkpoint
from mmtoken.runtime.saving.safetensors_files import write_safetensors

from .conversion import Conversion

SUFFIXES = ('.safetensors', '.pth')


def check_target(path: Path, source: Path) -> Path:
    """Where a converted file is to stand; `.safetensors` is put behind a name without an ending.

    Args:
        path: What the user named.
        source: What is converted.

    Raises:
        UserError: If it has another ending, its folder is not there, or it is the source.
    """
    target = path if path.suffix else path.with_suffix('.safetensors')
    if target.suffix not in SUFFIXES:
        raise UserError(f'{str(path)!r} must end in {" or ".join(SUFFIXES)}')
    if not target.parent.is_dir():
        raise UserError(f'{str(path)!r}: its folder does not exist; create it first')
    if target.resolve() == source.expanduser().resolve():
        raise UserError(f'{str(path)!r} is the file that is converted; name another one')
    return target


def write(conversion: Conversion, path: Path, bare: bool = False) -> None:
    """Write converted weights.

    Args:
        conversion: What to write.
        path: The file, as of `check_target`.
        bare: Whether for another project, whose programs want weights alone.

    Raises:
        UserError: If it cannot be written.
    """
    meta = {} if bare else meta_of(conversion)
    if path.suffix == '.safetensors':
        write_safetensors(conversion.state, path, meta)
        return
    state: Mapping[str, Tensor] = {
        # Parts of a larger tensor would be written with all of it.
        name: value.detach().clone()
        for name, value in conversion.state.items()
    }
    save_checkpoint(dict(state) if bare else dict(meta=meta, state_dict=dict(state)), str(path))


def meta_of(conversion: Conversion) -> dict[str, Any]:
    """What stands beside the weights: the config of the backbone, and where they are from."""
    return dict(backbone=conversion.backbone, layout=conversion.layout)


def write_report(conversion: Conversion, path: Path) -> None:
    """Write what became of every weight, as JSON.

    Args:
        conversion: Whose report.
        path: The file.

    Raises:
        UserError: If it cannot be written.
    """
    content = dict(
        family=conversion.family,
        recognised=conversion.what,
        backbone=conversion.backbone,
        notes=conversion.notes,
        weights={name: fate.as_dict() for name, fate in conversion.report.items()},
    )
    try:
        path.write_text(json.dumps(content, indent=2) + '\n', 'utf-8')
    except OSError as error:
        raise UserError(f'--report {str(path)!r} cannot be written: {error.strerror}') from error
