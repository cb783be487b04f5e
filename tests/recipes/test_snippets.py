"""The cards' Python: every backbone and model that stands there is built and computes."""

import pytest
import torch
from documents import Block, find_blocks
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

import mmtoken  # noqa: F401

SNIPPETS = [block for block in find_blocks('python') if not block.text.startswith('_base_')]
ASSIGNED = ('backbone', 'model')


def run_lines(text: str) -> list[tuple[str, object]]:
    """Run a snippet and collect what each of its statements assigns, in order."""
    import ast

    scope, assigned = {}, []
    for statement in ast.parse(text).body:
        exec(compile(ast.Module([statement], []), '<snippet>', 'exec'), scope)
        if isinstance(statement, ast.Assign):
            name = statement.targets[0].id
            assigned.append((name, scope[name]))
    return assigned


@pytest.mark.parametrize('snippet', SNIPPETS, ids=str)
def test_a_snippet_builds_what_computes(snippet: Block, workplace):
    assigned = run_lines(snippet.text)

    assert {name for name, _ in assigned} <= set(ASSIGNED)
    for name, value in assigned:
        built = MODELS.build(value)
        built.init_weights()
        images = torch.zeros(2, 3, 224, 224)
        if name == 'backbone':
            assert built(images)[0].isfinite().all()
        else:
            samples = [DataSample().set_gt_label(label) for label in (0, 1)]
            assert built.train().loss(images, samples)['loss'].isfinite()
