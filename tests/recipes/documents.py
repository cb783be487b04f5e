"""The fenced blocks of README and cards: what a reader copies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / 'README.md', *sorted((ROOT / 'configs').glob('*/README.md'))]


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Args:
        document: Where it stands, relative to the repository.
        number: Which block of the document it is, from 1.
        language: What stands behind the fence.
        text: Its lines.
    """

    document: str
    number: int
    language: str
    text: str

    def __str__(self) -> str:
        name = Path(self.document).parent.name or 'readme'
        return f'{name}-{self.number}'


def find_blocks(*languages: str) -> list[Block]:
    """All blocks of the given languages, of all documents."""
    found = []
    for path in DOCUMENTS:
        pieces = re.findall(r'^```(\w*)\n(.*?)^```$', path.read_text(), re.DOTALL | re.MULTILINE)
        for number, (language, text) in enumerate(pieces, start=1):
            document = str(path.relative_to(ROOT))
            found.append(Block(document, number, language, text))
    return [block for block in found if block.language in languages]
