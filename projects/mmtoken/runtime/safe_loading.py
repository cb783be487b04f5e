"""Let torch's safe unpickler read checkpoints, with what mmengine itself writes into them, and let
nothing else read them.

torch ≥ 2.6 loads tensors and plain containers only. mmengine's checkpoints also hold its log
buffers, which mmengine 0.10.7 then cannot read back; allowing exactly those, and types of data
(`checkpoint_types`), keeps resuming possible without executing anything from a file. OneDL's
mmengine answers what the safe unpickler refuses with the unsafe one, and both distributions use
the unsafe one for downloads, so mmengine's loaders are replaced where it looks them up.

`import mmtoken` does so for the whole process: whatever in it loads a checkpoint through mmengine,
other projects' models too, gets weights and plain data or a `UserError`. The only way round is to
name a file as trusted, as the tools' `--trust-checkpoint` does. `torch.load` stays as it is.
"""

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader

from mmtoken.errors import UserError
from mmtoken.runtime.checkpoint_types import ALLOWED, allow_checkpoints, the_cause
from mmtoken.runtime.refused_globals import refused_globals
from mmtoken.runtime.saving.safetensors_files import read_meta, read_safetensors

Loader = Callable[..., Any]
# torch's own switch, which holds even where a caller asks for full unpickling.
_FORCE = 'TORCH_FORCE_WEIGHTS_ONLY_LOAD'
# Files and addresses whose code may run, since the user says so.
_trusted: set[str] = set()


def trust_checkpoint(checkpoint: str) -> None:
    """Let a checkpoint execute what it holds, when it is loaded in this process.

    Args:
        checkpoint: A file or an address, as it will be loaded.
    """
    _trusted.add(_identity(checkpoint))


def _is_trusted(checkpoint: str) -> bool:
    return _identity(checkpoint) in _trusted


def _identity(checkpoint: str) -> str:
    """The same for all ways to write the path of a file."""
    text = str(checkpoint)
    return text if '://' in text else str(Path(text).expanduser().resolve())


def install_safe_loaders() -> None:
    """Have mmengine read every checkpoint safely: local files, downloads and its named models."""
    CheckpointLoader.register_scheme('', load_from_file, force=True)
    for prefix, loader in list(CheckpointLoader._schemes.items()):
        if loader.__module__.startswith('mmengine.'):
            CheckpointLoader.register_scheme(prefix, _forced(loader), force=True)
    # OneDL's list has Python's own `getattr`, which reaches every function.
    if hasattr(mmengine_checkpoint, 'get_torch_safe_globals'):
        mmengine_checkpoint.get_torch_safe_globals = lambda: ALLOWED


def load_from_file(filename: str, map_location: Any = None) -> Any:
    """Load a checkpoint file; nothing in it is executed, unless it is trusted.

    Args:
        filename: The file.
        map_location: As of ``torch.load``.

    Returns:
        Its content.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it is damaged, or holds anything but weights and what mmengine writes.
    """
    safe = not _is_trusted(filename)
    with _reading(filename):
        if str(filename).endswith('.safetensors'):
            weights = read_safetensors(filename, map_location)
            return {'meta': read_meta(filename), 'state_dict': weights}
        return torch.load(Path(filename).expanduser(), map_location=map_location, weights_only=safe)


def _forced(loader: Loader) -> Loader:
    """One of mmengine's loaders, held to the safe unpickler while it runs."""

    @functools.wraps(loader)
    def load(filename: str, *args: Any, **kwargs: Any) -> Any:
        if _is_trusted(filename):
            return loader(filename, *args, **kwargs)
        before = os.environ.get(_FORCE)
        os.environ[_FORCE] = '1'
        try:
            with _reading(filename):
                return loader(filename, *args, **kwargs)
        finally:
            os.environ.pop(_FORCE) if before is None else os.environ.update({_FORCE: before})

    # Its own name, by which mmengine logs it, but not its module: it is wrapped once.
    load.__module__ = __name__
    return load


@contextmanager
def _reading(checkpoint: str) -> Iterator[None]:
    """Allow what mmengine writes, and turn what torch raises into a sentence."""
    allow_checkpoints()
    try:
        yield
    except (OSError, ImportError, UserError):  # No such file, no network, no client for it.
        raise
    except (MemoryError, torch.OutOfMemoryError):  # No fault of the file.
        raise
    except Exception as error:  # torch answers damaged files with whatever breaks first.
        if 'TorchScript' in str(error):
            raise UserError(
                f'checkpoint {checkpoint} is a TorchScript archive, which holds code, and that is '
                'never executed; if you trust who made it, save its weights alone: '
                f'torch.save(torch.jit.load({str(checkpoint)!r}, "cpu").state_dict(), '
                '"weights.pth")'
            ) from error
        refused = refused_globals(checkpoint)
        asked = f' it asks for {", ".join(refused)}, refused;' if refused else ''
        raise UserError(
            f'checkpoint {checkpoint} cannot be read as weights ({the_cause(error)});{asked} '
            'it may be damaged, or hold code, which is never executed: save it again as a plain '
            'state dict; if you trust who made it, --trust-checkpoint lets the one execute code '
            'that the command line, --resume or load_from names'
        ) from error
