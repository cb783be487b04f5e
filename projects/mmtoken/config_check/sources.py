"""The files that a config was read from."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config
from mmengine.utils import get_installed_path

# Path and content; the path of a config that was read from no file is empty.
Source = tuple[str, str]
_READ_BASE = re.compile(r'^\s*with\s+read_base\(', flags=re.MULTILINE)


def source_files(cfg: Config) -> list[Source]:
    """Find the files that a config was read from.

    Of a config that inherits with ``_base_``, mmengine keeps the text of all files, and of one that
    inherits with ``read_base`` that of the last alone, so that the others are read again.

    Args:
        cfg: The config.

    Returns:
        Path and content of each, bases before what inherits them.
    """
    if cfg.filename and _READ_BASE.search(cfg.text):
        return list(dict.fromkeys(_imported(Path(cfg.filename))))
    first, *rest = re.split(r'^(/.*\.(?:py|json|ya?ml))$', cfg.text, flags=re.MULTILINE)
    # A text without paths is one file.
    return list(zip(rest[::2], rest[1::2], strict=True)) or [('', first)]


def inherits(text: str) -> bool:
    """Whether a file inherits from others."""
    return bool(re.search(r'^_base_\s*=', text, flags=re.MULTILINE) or _READ_BASE.search(text))


def parse(text: str) -> list[ast.stmt]:
    """The statements of a file; none of JSON and YAML, which have no variables of their own."""
    try:
        return ast.parse(text).body
    except SyntaxError:
        return []


def _imported(path: Path) -> Iterator[Source]:
    """A file and, before it, those that it imports its bases from."""
    text = path.read_text(encoding='utf-8')
    for statement in parse(text):
        if isinstance(statement, ast.With):
            for node in statement.body:
                if isinstance(node, ast.ImportFrom):
                    yield from _imported(_module_path(node, path))
    yield str(path), text


def _module_path(node: ast.ImportFrom, path: Path) -> Path:
    """The file of ``from MODULE import …`` in a config, found as mmengine finds it."""
    parts = (node.module or '').split('.')
    level = node.level
    folder = path.parents[level - 1] if level else Path(get_installed_path(parts.pop(0)))
    return folder.joinpath(*parts).with_suffix('.py')
