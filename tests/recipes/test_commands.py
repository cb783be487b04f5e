"""The commands of README and cards, as they stand: one line after the other in one folder."""

import re
import subprocess

import pytest
from documents import DOCUMENTS, ROOT, Block, find_blocks
from workplace import run_command

SHELL = [block for block in find_blocks('bash', 'shell') if 'make ' not in block.text]
README = [block for block in SHELL if block.document == 'README.md']
CARDS = [block for block in SHELL if block.document != 'README.md']
# `make` is what runs these tests, and its demo has tests of its own.
MADE = [block for block in find_blocks('bash', 'shell') if 'make ' in block.text]


def run_block(block: Block, load_tool) -> None:
    for line in block.text.splitlines():
        if line and not line.startswith('#'):
            run_command(line, load_tool)


@pytest.mark.parametrize('block', README, ids=str)
def test_the_commands_of_the_readme_run(block, workplace, own_model, load_tool):
    run_block(block, load_tool)


@pytest.mark.long
@pytest.mark.parametrize('block', CARDS, ids=str)
def test_the_commands_of_a_card_run(block, workplace, load_tool):
    run_block(block, load_tool)


@pytest.mark.parametrize('block', MADE, ids=str)
def test_a_target_of_make_is_there(block):
    for target in re.findall(r'^make ([\w-]+)', block.text, re.MULTILINE):
        subprocess.run(['make', '-n', target], cwd=ROOT, check=True, capture_output=True)


def test_every_block_of_a_document_is_code_that_is_run_or_a_citation():
    languages = {
        language or 'none'
        for path in DOCUMENTS
        for language in re.findall(r'^```(\w*)\n.*?^```$', path.read_text(), re.DOTALL | re.M)
    }

    assert languages <= {'python', 'bash', 'shell', 'bibtex'}
