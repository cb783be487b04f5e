"""Every backbone, and every variant of it, as the tests of the contract want them."""

import pytest
from backbones import BACKBONES, VARIANTS, variants_of


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test the `name` of a registered backbone and the options of a `variant` of it: of the
    module's own `VARIANTS`, where it has some. What a test is parametrized by itself is left alone.
    """
    own = [mark.args[0] for mark in metafunc.definition.iter_markers('parametrize')]
    named = {name for names in own for name in ([names] if isinstance(names, str) else names)}
    wanted = [n for n in ('name', 'variant') if n in metafunc.fixturenames and n not in named]
    if wanted == ['name']:
        metafunc.parametrize('name', BACKBONES)
    elif wanted:
        variants = getattr(metafunc.module, 'VARIANTS', VARIANTS)
        pairs = [(name, variant) for name in BACKBONES for variant in variants_of(name, variants)]
        metafunc.parametrize(
            wanted,
            [(name, variants[variant]) for name, variant in pairs],
            ids=[f'{name}-{variant}' for name, variant in pairs],
        )
