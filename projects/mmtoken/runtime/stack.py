"""Which distribution of each OpenMMLab library is installed, and whether they go together.

Reads package metadata and imports nothing but the standard library by itself, so that it is cheap,
and can explain an installation in which nothing else can be imported.
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TextIO

SEE = '`python tools/misc/check_env.py` says more'


@dataclass(frozen=True)
class Library:
    """One import name that two distributions provide.

    Args:
        module: The import name.
        distributions: The distribution's name in each stack.
        minimum: The oldest version supported, in each stack: the oldest that the tests ran on.
        needed: Whether ``import mmtoken`` needs it; the others only serve their own task.
    """

    module: str
    distributions: dict[str, str]
    minimum: dict[str, str]
    needed: bool


def _library(module: str, onedl: str, openmmlab: str, needed: bool = True) -> Library:
    """Write a library as two requirements, ``distribution>=version``."""
    parts = {'onedl': onedl.split('>='), 'openmmlab': openmmlab.split('>=')}
    distributions = {stack: name for stack, (name, _) in parts.items()}
    return Library(module, distributions, {s: oldest for s, (_, oldest) in parts.items()}, needed)


STACKS = {'onedl': 'OneDL', 'openmmlab': 'OpenMMLab'}
LIBRARIES = (
    _library('mmengine', 'onedl-mmengine>=0.10.12', 'mmengine>=0.10.7'),
    _library('mmcv', 'onedl-mmcv>=2.3.6', 'mmcv>=2.1.0'),
    _library('mmpretrain', 'onedl-mmpretrain>=1.3.6', 'mmpretrain>=1.2.0'),
    _library('mmdet', 'onedl-mmdetection>=3.5.1', 'mmdet>=3.3.0', needed=False),
    _library('mmseg', 'onedl-mmsegmentation>=1.4.2', 'mmsegmentation>=1.2.2', needed=False),
)


@dataclass(frozen=True)
class Stack:
    """What is installed.

    Args:
        name: ``'onedl'`` or ``'openmmlab'``, or None where there is neither or a mixture.
        versions: The installed version of every distribution found, by distribution.
        problems: One sentence with its remedy for each thing that ``import mmtoken`` cannot do
            without.
        missing: The same for libraries that only detection or segmentation needs.
    """

    name: str | None
    versions: dict[str, str]
    problems: tuple[str, ...]
    missing: tuple[str, ...]


def inspect_stack(version_of: Callable[[str], str] = version) -> Stack:
    """Find the stack that is installed and what is wrong with it.

    Args:
        version_of: Returns a distribution's version or raises ``PackageNotFoundError``.

    Returns:
        The stack; usable if it has no ``problems``.
    """
    versions = {}
    for library in LIBRARIES:
        for distribution in library.distributions.values():
            try:
                versions[distribution] = version_of(distribution)
            except PackageNotFoundError:
                continue
    counts = {
        stack: sum(library.distributions[stack] in versions for library in LIBRARIES)
        for stack in STACKS
    }
    if not any(counts.values()):
        sentence = (
            'no OpenMMLab library is installed; '
            'run `make env`, or `pip install "mmtoken-toolbox[onedl]"`'
        )
        return Stack(None, versions, (sentence,), ())
    if all(counts.values()):
        return Stack(None, versions, (_clash(versions, counts),), ())
    name = max(counts, key=counts.get)
    problems, missing = [], []
    for library in LIBRARIES:
        sentence = _shortcoming(library, name, versions)
        if sentence:
            there = library.distributions[name] in versions
            (problems if library.needed or there else missing).append(sentence)
    return Stack(name, versions, tuple(problems), tuple(missing))


def require_stack(version_of: Callable[[str], str] = version) -> str:
    """Return the name of the installed stack.

    Args:
        version_of: As for :func:`inspect_stack`.

    Raises:
        UserError: If no stack is installed, both are, or a library is missing or too old.
    """
    stack = inspect_stack(version_of)
    if stack.problems:
        from ..errors import UserError

        raise UserError(f'{stack.problems[0]}; {SEE}')
    return stack.name


class _Muted:
    """Standard output that drops what is written to it for now; who keeps it is heard later."""

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.muted = stream, True

    def write(self, text: str) -> int:
        return len(text) if self.muted else self.stream.write(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self.stream, name)


@contextmanager
def quiet_imports() -> Iterator[None]:
    """Keep from the terminal what libraries print and warn of while they are imported.

    They speak of packages that nothing here needs, and of one another's age. Exceptions pass, the
    filters that they install stay, and who asks for warnings (``python -W``, ``PYTHONWARNINGS``)
    gets everything.
    """
    if sys.warnoptions:
        yield
        return
    show, stdout, muted = warnings.showwarning, sys.stdout, _Muted(sys.stdout)
    warnings.showwarning, sys.stdout = lambda *args, **kwargs: None, muted
    try:
        yield
    finally:
        warnings.showwarning, sys.stdout, muted.muted = show, stdout, False


@quiet_imports()
def import_stack() -> None:
    """Import the libraries that ``import mmtoken`` needs.

    Raises:
        UserError: If one fails, as with an mmcv that was compiled for another torch.
    """
    for library in LIBRARIES:
        if library.needed:
            try:
                import_module(library.module)
            except Exception as error:  # Compiled and version-checked, these fail in many ways.
                raise import_failure(library.module, error) from error


def import_failure(library: str, error: Exception) -> Exception:
    """The sentence about a library that cannot be imported.

    Args:
        library: Its import name.
        error: What its import raised.

    Returns:
        A ``UserError``, to be raised.
    """
    from ..errors import UserError

    reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip('.')
    return UserError(f'the library {library!r} cannot be imported ({reason}); {SEE}')


def _clash(versions: dict[str, str], counts: dict[str, int]) -> str:
    """Say that both stacks are there, and how to get rid of the one with fewer libraries."""
    surplus = min(counts, key=counts.get)
    kept = next(stack for stack in STACKS if stack != surplus)

    def listed(stack: str) -> str:
        names = (library.distributions[stack] for library in LIBRARIES)
        return ', '.join(f'{name} {versions[name]}' for name in names if name in versions)

    # Uninstalling removes the files that both wrote, so what stays must be installed again.
    return (
        f'both stacks are installed and overwrite each other ({listed("onedl")} of OneDL; '
        f'{listed("openmmlab")} of OpenMMLab); pip uninstall all of these, then reinstall one: '
        f'`pip install "mmtoken-toolbox[{kept}]"`'
    )


def _shortcoming(library: Library, stack: str, versions: dict[str, str]) -> str:
    """Say what is wrong with one library, or return the empty string."""
    distribution, oldest = library.distributions[stack], library.minimum[stack]
    if distribution not in versions:
        return (
            f'{library.module} is missing from the {STACKS[stack]} stack; '
            f'run `pip install "{distribution}>={oldest}"`'
        )
    if release_numbers(versions[distribution]) < release_numbers(oldest):
        return (
            f'{distribution} {versions[distribution]} is older than {oldest}; '
            f'run `pip install -U "{distribution}>={oldest}"`'
        )
    return ''


def release_numbers(text: str) -> tuple[int, ...]:
    """The release numbers of a version, ``(2, 3, 6)`` for ``2.3.6rc1``, without `packaging`."""
    return tuple(int(number) for number in re.match(r'\d+(?:\.\d+)*', text).group().split('.'))
