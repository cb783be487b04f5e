"""transformers lies in a folder of its own, which only the tests of this one look into."""

from collections.abc import Iterator
from types import ModuleType

import pytest
from transformers_models import imported_transformers


@pytest.fixture(scope='module')
def transformers() -> Iterator[ModuleType]:
    """The package."""
    try:
        with imported_transformers() as package:
            yield package
    except ImportError as error:
        pytest.fail(f'transformers cannot be imported ({error}); run `make env`, which installs it')
