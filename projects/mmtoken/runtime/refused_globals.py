"""Which functions and classes a checkpoint asks for that torch's safe unpickler refuses.

torch stops at the first one, and lists them all for its newest file format alone. Here a file is
taken apart and never run. Our design.
"""

import io
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import torch

# A file of torch's older format is its magic number, its version, the machine, the content and the
# names of the storages, which their bytes follow.
_LEGACY_PICKLES = 5


def refused_globals(file: str | Path) -> list[str]:
    """List what a checkpoint would have to import and may not.

    Args:
        file: A file that could not be read.

    Returns:
        Full names such as 'os.system', sorted; what stands before the place where a damaged file
        breaks off, and nothing where no pickle is found.
    """
    names: set[tuple[str, str]] = set()
    try:
        with Path(file).expanduser().open('rb') as stream:
            for pickle in _pickles(stream):
                names.update(_named(pickle))
    except Exception:  # Nothing is known of such a file, so reading it can fail in any way.
        pass
    return _refused(names)


def _pickles(stream: BinaryIO) -> Iterator[BinaryIO]:
    """What torch would unpickle, one after the other, of both of its formats."""
    if not zipfile.is_zipfile(stream):
        stream.seek(0)
        yield from (stream for _ in range(_LEGACY_PICKLES))
        return
    with zipfile.ZipFile(stream) as archive:
        for name in archive.namelist():
            if name.endswith('.pkl'):
                yield io.BytesIO(archive.read(name))


def _named(pickle: BinaryIO) -> Iterator[tuple[str, str]]:
    """Modules and names that a pickle asks for; what a damaged one asks for before it ends."""
    texts: list[str] = []  # What was pushed last; pickles since protocol 4 take names from there.
    memo: dict[int, str] = {}
    for code, argument, _ in pickletools.genops(pickle):
        if code.name in ('GLOBAL', 'INST'):
            module, _, name = argument.partition(' ')
            yield module, name
        elif code.name == 'STACK_GLOBAL' and len(texts) > 1:
            yield texts[-2], texts[-1]
        elif 'UNICODE' in code.name or 'STRING' in code.name:
            texts.append(argument)
        elif code.name == 'MEMOIZE':
            memo[len(memo)] = texts[-1] if texts else ''
        elif code.name.endswith('PUT') and texts:
            memo[argument] = texts[-1]
        elif code.name.endswith('GET') and argument in memo:
            texts.append(memo[argument])


def _refused(names: set[tuple[str, str]]) -> list[str]:
    """Those of some names that torch does not allow: its own verdict on a file with all of them."""
    # A hostile name could end the line that it is to stand in.
    asked = ''.join(f'c{a}\n{b}\n' for a, b in sorted(names) if f'{a}{b}'.isprintable())
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        archive.writestr('archive/data.pkl', b'\x80\x02(' + asked.encode() + b't.')
        archive.writestr('archive/version', b'3\n')
    file.seek(0)
    return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(file))
