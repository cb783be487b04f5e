"""Files that execute code when they are unpickled, or break what unpickles them."""

import io
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

LEGACY = dict(_use_new_zipfile_serialization=False)


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function: Callable, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


def shell(marker: Path) -> Call:
    """What creates a file when it is unpickled."""
    return Call(os.system, f'touch {marker}')


def by_attribute() -> Call:
    """A way to all functions, through the methods of log buffers, which checkpoints may name."""
    names = Call(getattr, Call(getattr, HistoryBuffer, '__init__'), '__globals__')
    return Call(getattr, names, 'get')


def with_pickle(file: Path, code: bytes) -> None:
    """Write a checkpoint of torch's format, whose content is a pickle of ours."""
    with zipfile.ZipFile(file, 'w') as archive:
        archive.writestr('archive/data.pkl', code)
        archive.writestr('archive/version', b'3\n')


def saved(value: object, file: Path, **options: object) -> None:
    """Write a checkpoint with something in it beside its weights."""
    torch.save({'state_dict': {'weight': torch.ones(2, 3)}, 'meta': value}, file, **options)


def dotted(marker: Path, file: Path) -> None:
    """A function of a module that an allowed module has imported."""
    command = pickle.dumps((f'touch {marker}',), 4)[2:-1]
    name = b'\x8c\x13torch.serialization\x8c\x09os.system\x93'
    with_pickle(file, b'\x80\x04' + name + command + b'R.')


def instance(marker: Path, file: Path) -> None:
    """The oldest way to name a function: one code that takes it and calls it."""
    with_pickle(file, b"(S'touch %s'\nios\nsystem\n." % bytes(marker))


def legacy_header(marker: Path, file: Path) -> None:
    """Code where a file of the older format has its magic number."""
    file.write_bytes(pickle.dumps(shell(marker), 2) + pickle.dumps(1001, 2) * 4)


def tar(marker: Path, file: Path) -> None:
    """The oldest format, with code in its last pickle."""
    code = {'storages': pickle.dumps(shell(marker), 2), 'tensors': b'', 'pickle': b''}
    with tarfile.open(file, 'w', format=tarfile.PAX_FORMAT) as archive:
        for name, content in code.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def npz(marker: Path, file: Path) -> None:
    """NumPy's archive, with a pickle in it."""
    with file.open('wb') as stream:
        np.savez(stream, weight=np.array([shell(marker)], dtype=object))


def hostile_tensor(marker: Path, file: Path) -> None:
    """A tensor of allowed parts that lies outside of its storage."""
    rebuild = torch._utils._rebuild_tensor_v2
    storage = torch.ones(2)._typed_storage()
    saved(Call(rebuild, storage, 1 << 40, (1 << 20, 1 << 20), (1, 1), False, {}), file)


class Array:
    """Pickles as an array that is filled with bytes.

    Args:
        kind: Of its elements.
        content: The bytes.
    """

    def __init__(self, kind: object, content: bytes) -> None:
        self.state = 1, (4,), kind, False, content

    def __reduce__(self) -> tuple:
        return np.array([]).__reduce__()[0], (np.ndarray, (0,), b'b'), self.state


class Kind:
    """Pickles as NumPy's kind of elements, told to be another one.

    Args:
        name: Which.
        fields: Those that it is to have.
        flags: Those, too; bits that say whether it holds pointers.
    """

    def __init__(self, name: str, fields: dict | None, flags: int) -> None:
        names = tuple(fields) if fields else None
        self.name, self.state = name, (3, '<', None, names, fields, -1, -1, flags)

    def __reduce__(self) -> tuple:
        return np.dtype, (self.name, False, True), self.state


ADDRESSES = b'\x41' * 32
# Arrays of objects at addresses that the file chooses: reading one ends the process, or worse.
POINTERS = {
    'objects at any address': Array(np.dtype('O'), ADDRESSES),
    'objects that are told to be none': Array(Kind('O8', None, 0), ADDRESSES),
    'numbers that are told to be objects': Array(
        Kind('f8', {'a': (Call(np.dtype, 'O8'), 0)}, 0), ADDRESSES
    ),
    'an array laid over bytes': Call(np.ndarray, (4,), 'O8', ADDRESSES),
}


# By name: what writes a file, given the file that its code would create; and what the file asks
# for that is refused, where it can be said.
FILES: dict[str, tuple[Callable[[Path, Path], None], str | None]] = {
    'a shell command': (lambda mark, file: saved(shell(mark), file), 'posix.system'),
    'an expression': (
        lambda mark, file: saved(Call(eval, f'open({str(mark)!r}, "w")'), file),
        'builtins.eval',
    ),
    'code among the weights': (
        lambda mark, file: torch.save({'weight': torch.ones(2, 3), 'bias': shell(mark)}, file),
        'posix.system',
    ),
    'attributes of a log buffer': (lambda mark, file: saved(by_attribute(), file), None),
    'a module in a module': (dotted, 'torch.serialization.os.system'),
    'an instance of a function': (instance, 'os.system'),
    'a newer protocol': (
        lambda mark, file: saved(shell(mark), file, pickle_protocol=4),
        'posix.system',
    ),
    'the older format': (lambda mark, file: saved(shell(mark), file, **LEGACY), 'posix.system'),
    'a header of the older format': (legacy_header, 'posix.system'),
    'the oldest format': (tar, None),
    'an array of objects': (
        lambda mark, file: saved(np.array([shell(mark)], dtype=object), file),
        'posix.system',
    ),
    'an archive of arrays': (npz, None),
    'a tensor outside of its storage': (hostile_tensor, None),
    **{
        name: (lambda mark, file, value=value: saved(value, file), None)
        for name, value in POINTERS.items()
    },
}
