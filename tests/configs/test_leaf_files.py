"""The rules that hold for the text of every leaf config."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

MAX_LINES = 40


def bases(path: Path) -> list[str]:
    """The names in a config's `_base_`."""
    for node in ast.parse(path.read_text(encoding='utf-8')).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == '_base_':
            value = ast.literal_eval(node.value)
            return [value] if isinstance(value, str) else value
    return []


def test_leaf_is_short(leaf: Path) -> None:
    assert len(leaf.read_text(encoding='utf-8').splitlines()) <= MAX_LINES


def test_leaf_names_are_unique(leaves: list[Path]) -> None:
    repeated = [name for name, count in Counter(p.name for p in leaves).items() if count > 1]

    assert repeated == []


def test_docstring_gives_the_command_of_this_very_file(leaf: Path, root: Path) -> None:
    docstring = ast.get_docstring(ast.parse(leaf.read_text(encoding='utf-8'))) or ''
    commands = re.findall(r'(?:python|bash) (tools/\S+)[\s\\]+(configs/\S+\.py)', docstring)

    assert commands, 'no command in the docstring'
    assert {config for _, config in commands} == {leaf.relative_to(root).as_posix()}
    assert all((root / tool).is_file() for tool, _ in commands)


def test_inherits_only_files_of_ours(leaf: Path, root: Path) -> None:
    inherited = [leaf]

    for path in inherited:
        inherited.extend((path.parent / base).resolve() for base in bases(path))

    assert len(inherited) > 1
    assert [p for p in inherited if not p.is_file() or root / 'configs' not in p.parents] == []


def test_leaves_custom_imports_to_the_runtime_base(leaf: Path, root: Path) -> None:
    """A child's `custom_imports` would replace the base's, and with it the import of mmtoken."""
    runtime = root / 'configs/_base_/default_runtime.py'
    inherited = [leaf]
    for path in inherited:
        inherited.extend((path.parent / base).resolve() for base in bases(path))

    naming = {p for p in inherited if re.search(r'^custom_imports', p.read_text(), re.MULTILINE)}

    assert naming == {runtime}
