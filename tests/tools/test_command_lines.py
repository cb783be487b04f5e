"""The tools are command lines over the package: nothing imports one, and no path is patched."""

import ast
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
TOOLS = sorted((REPO / 'tools').rglob('*.py'))
TESTS = sorted((REPO / 'tests').rglob('*.py'))
# What another folder's script could be imported as, were its folder on the path.
NAMES = {path.stem for path in TOOLS} | {path.name for path in (REPO / 'tools').iterdir()}


def imported_modules(source: str) -> set[str]:
    """The first word of every module that a source imports from outside its package."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition('.')[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.partition('.')[0])
    return names


def patches_path(source: str) -> bool:
    """Whether a source touches ``sys.path``."""
    return any(
        node.attr == 'path' and isinstance(node.value, ast.Name) and node.value.id == 'sys'
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
    )


@pytest.mark.parametrize('sources', [TOOLS, TESTS], ids=['tools', 'tests'])
def test_nothing_imports_a_tool(sources):
    assert not [path for path in sources if imported_modules(path.read_text()) & NAMES]


@pytest.mark.parametrize('folder', ['projects', 'tools', 'tests'])
def test_nothing_patches_the_module_path(folder):
    sources = [path for path in (REPO / folder).rglob('*.py') if '.mim' not in path.parts]

    assert not [path for path in sources if patches_path(path.read_text())]


def test_a_patched_path_is_seen():
    assert patches_path('import sys; sys.path.insert(0, "x")')


def test_an_import_of_a_tool_is_seen():
    assert imported_modules('from study import main') & NAMES
