"""A path that the README or a card names is there."""

import re

import pytest
from documents import DOCUMENTS, ROOT

PATHS = sorted(
    {
        path
        for document in DOCUMENTS
        for path in re.findall(
            r'(?<![\w./])(?:tools|configs|docs)/[\w./*-]*\.\w+', document.read_text()
        )
    }
)
LINKS = [
    (document.parent, link)
    for document in [*DOCUMENTS, *(ROOT / 'docs').rglob('*.md')]
    for link in re.findall(r'\]\(([^)#:]+)(?:#[\w-]*)?\)', document.read_text())
]


@pytest.mark.parametrize('path', PATHS)
def test_a_path_of_a_document_is_there(path: str):
    assert list(ROOT.glob(path))


def test_every_link_of_a_document_leads_somewhere():
    lost = [link for folder, link in LINKS if not (folder / link).exists()]

    assert lost == []
