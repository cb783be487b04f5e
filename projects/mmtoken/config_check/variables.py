"""The variables of a config: which of them its files read, and which a child sets in vain, since
a base has copied its own into its dicts by then.

What inherits with ``read_base`` is not looked at: mmengine keeps the text of its last file only.
"""

import ast
import os
import re
import reprlib
from collections.abc import Iterable, Iterator
from typing import Any

from mmengine.config import Config

from mmtoken.config_check.schema import RUN_KEYS

Place = tuple[str | int, ...]


def split_files(text: str) -> list[tuple[str, str]]:
    """The files that a config was read from.

    Args:
        text: ``Config.text``: the files' content, each after a line with its path.

    Returns:
        Path and content of each, bases before what inherits them.
    """
    first, *rest = re.split(r'^(/.*\.(?:py|json|ya?ml))$', text, flags=re.MULTILINE)
    # A text without paths is one file.
    return list(zip(rest[::2], rest[1::2], strict=True)) or [('', first)]


def names_read(text: str) -> set[str]:
    """The variables that the lines of a config, and of the files it inherits from, make use of.

    Args:
        text: ``Config.text``.

    Returns:
        Their names. A variable that only its own new value is made from is none of them.
    """
    return set().union(*(_names_read(content) for _, content in split_files(text)))


def vain_variables(cfg: Config) -> Iterator[str]:
    """Find the variables that a child sets, that it does not read, and that a base has used up.

    Args:
        cfg: The config.

    Yields:
        One sentence each, without the name of the config.
    """
    final, files = cfg.to_dict(), split_files(cfg.text)
    for index, (path, content) in enumerate(files[:-1], start=1):
        later = set().union(*(_names_read(content) for _, content in files[index:]))
        names = _names_read(content) & final.keys() - RUN_KEYS - later
        base = Config.fromfile(path).to_dict() if names else {}
        for name in sorted(names & base.keys()):
            places = [
                '.'.join(map(str, place))
                for place in _places(content, name)
                # Where a child has changed the place as well, that is what it wants.
                if _at(base, place) == base[name] == _at(final, place)
            ]
            if places and final[name] != base[name]:
                yield (
                    f'{name} = {reprlib.repr(final[name])} changes nothing: '
                    f'{os.path.relpath(path)} has already put its own into '
                    f'{", ".join(places[:4])}; set {"that" if len(places) == 1 else "those"}'
                )


def _places(content: str, name: str) -> Iterator[Place]:
    """Where one file puts a variable as it is, below the keys that a run reads."""
    variables = {
        target.id: statement.value
        for statement in _parse(content)
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    for key in variables:
        if key in RUN_KEYS:
            yield from _uses(variables[key], name, variables, (key,))


def _uses(
    node: ast.expr, name: str, variables: dict[str, ast.expr], place: Place
) -> Iterator[Place]:
    """The same within an expression, with the other variables written out."""
    children: Iterable[tuple[str | int, ast.expr]] = ()
    match node:
        case ast.Name(id=found) if found == name:
            yield place
        case ast.Name(id=found) if found in variables:
            others = {key: value for key, value in variables.items() if key != found}
            yield from _uses(variables[found], name, others, place)
        case ast.Call(func=ast.Name(id='dict'), keywords=keywords):
            children = ((keyword.arg, keyword.value) for keyword in keywords if keyword.arg)
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            children = ((key.value, x) for key, x in pairs if isinstance(key, ast.Constant))
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            children = enumerate(elements)
    for key, child in children:
        yield from _uses(child, name, variables, (*place, key))


def _at(content: Any, place: Place) -> Any:
    """What stands at a place; something that equals nothing where there is no such place."""
    try:
        for key in place:
            content = content[key]
    except (KeyError, IndexError, TypeError):
        return object()
    return content


def _names_read(content: str) -> set[str]:
    """The variables, own and ``_base_``'s, that one file reads."""
    statements = _parse(content)
    names = set() if statements else _base_names(content)
    for statement in statements:
        found = _base_names(ast.unparse(statement)) | {
            node.id
            for node in ast.walk(statement)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        }
        match statement:
            case ast.Assign(targets=[ast.Name(id=target)]):
                found.discard(target)
        names |= found
    return names


def _parse(content: str) -> list[ast.stmt]:
    """The statements of a file; none of JSON and YAML, which have no variables of their own."""
    try:
        return ast.parse(content).body
    except SyntaxError:
        return []


def _base_names(text: str) -> set[str]:
    return set(re.findall(r'_base_(?:\.get\([\'"]|\.|\[[\'"])(\w+)', text))
