"""Which optional package a type waits for: libraries leave out, or let fail, what needs one."""

import ast
import functools
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from mmtoken.config_check.sources import parse


@functools.cache
def why_unregistered(name: str, scopes: tuple[str, ...]) -> str | None:
    """Say which package is missing where libraries leave out a type that needs it.

    Args:
        name: The type.
        scopes: The libraries that may have it.

    Returns:
        What is missing, of the modules that define the type and were not imported, and how to
        install it; None where there is no such module.
    """
    register = rf'^class {name}\b|register\w*\(\s*(\w+\.)*{name}\b|[\'"]{name}[\'"]'
    loaded = {getattr(module, '__file__', None) for module in list(sys.modules.values())}
    for library in scopes:
        for file, text in _modules(library):
            if str(file) not in loaded and re.search(register, text, flags=re.MULTILINE):
                for package in (*_imports(text), *_guards(file)):
                    if (missing := _unfulfilled(package, library)) is not None:
                        return _install(missing)
    return None


@functools.cache
def why_not_built(target: Callable) -> str | None:
    """Say which package is missing where a class refuses to be built without it.

    Args:
        target: A class, or anything else that a type can mean.

    Returns:
        What mmpretrain declares with a decorator, or the error that constructors of mmdet raise
        where a name that they import is None; None where there is neither.
    """
    init = vars(target).get('__init__') if inspect.isclass(target) else None
    if init is None:
        return None
    if getattr(init, '_verify_require', None) is init:
        return _install(inspect.getclosurevars(init).nonlocals['dep'])
    function = inspect.unwrap(init)
    try:
        (definition,) = parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, ValueError):
        return None
    for statement in definition.body:
        match statement:
            case ast.If(
                test=ast.Compare(left=ast.Name(id=name), ops=[ast.Is()]),
                body=[ast.Raise(exc=ast.Call(args=[ast.Constant(value=str(message))]))],
            ) if function.__globals__.get(name, init) is None:
                return ' '.join(message.split()).rstrip('.').replace('. ', '; ')
    return None


def _install(requirement: str) -> str:
    """Say that a package is missing, and how to install it."""
    name = re.match(r'[\w.-]+', requirement).group()
    quoted = requirement if name == requirement else f'"{requirement}"'
    return f'{name} is not installed; pip install {quoted}'


@functools.cache
def is_stand_in(target: Callable) -> bool:
    """Whether what is registered only says that a package is missing."""
    if not inspect.isfunction(target):
        return False
    try:
        body = parse(textwrap.dedent(inspect.getsource(target)))[0].body
    except (OSError, IndexError):
        return False
    return isinstance(body[0], ast.Raise) and 'ImportError' in ast.unparse(body[0])


@functools.cache
def _modules(library: str) -> tuple[tuple[Path, str], ...]:
    """The modules of a library, and their text."""
    spec = find_spec(library)
    folders = map(Path, spec.submodule_search_locations or ()) if spec else ()
    return tuple(
        (file, file.read_text(encoding='utf-8'))
        for folder in folders
        for file in sorted(folder.rglob('*.py'))
        if not {'.mim', 'configs'} & set(file.relative_to(folder).parts)
    )


def _imports(text: str) -> Iterator[str]:
    """The packages that a module imports."""
    for statement in parse(text):
        if isinstance(statement, ast.Import):
            yield from (alias.name.partition('.')[0] for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and not statement.level:
            yield statement.module.partition('.')[0]


def _guards(file: Path) -> Iterator[str]:
    """The requirements under which a module is imported: ``if NAME: from .module import …``.

    NAME stands in the package's own file, or in one that is imported there.
    """
    for path in (file, *file.parents):
        init = path.parent / '__init__.py'
        if not init.is_file():
            return
        statements = parse(init.read_text(encoding='utf-8'))
        for statement in statements:
            if isinstance(statement, ast.If) and any(
                isinstance(node, ast.ImportFrom) and node.module == path.stem
                for node in statement.body
            ):
                names = {node.id for node in ast.walk(statement.test) if isinstance(node, ast.Name)}
                for name in names:
                    yield from _requirements(name, statements)


def _requirements(name: str, statements: list[ast.stmt]) -> Iterator[str]:
    """The texts from which a variable is made that a module imports."""
    for statement in statements:
        match statement:
            case ast.ImportFrom(module=str(module), names=aliases) if name in {
                alias.name for alias in aliases
            }:
                for assignment in parse(inspect.getsource(sys.modules[module])):
                    match assignment:
                        case ast.Assign(targets=[ast.Name(id=found)], value=value) if found == name:
                            constants = ast.walk(value)
                            yield from (
                                x.value
                                for x in constants
                                if isinstance(getattr(x, 'value', None), str)
                            )


@functools.cache
def _unfulfilled(text: str, library: str) -> str | None:
    """A requirement that is not met, as the libraries' own metadata write it; else None."""
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return None
    with suppress(PackageNotFoundError):
        if version(requirement.name) in requirement.specifier:
            return None
    # What a module imports need not be the name of the package.
    if find_spec(requirement.name) and not requirement.specifier:
        return None
    for name in packages_distributions().get(library, ()):
        for declared in map(Requirement, distribution(name).requires or ()):
            if declared.name == requirement.name and declared.specifier:
                return f'{declared.name}{declared.specifier}'
    return str(requirement)
