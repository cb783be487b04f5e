"""transformers lies in a folder of its own, which only the tests of this one look into."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

# As of tools/misc/setup_env.sh. Where transformers is installed beside OpenMMLab's libraries, these
# import it at every start.
FOLDER = Path(sys.prefix) / 'transformers'


@pytest.fixture(scope='module')
def transformers() -> Iterator[ModuleType]:
    """The package; gone after the tests of a module, lest a library finds it and uses it."""
    import_module('mmtoken')
    sys.path.append(str(FOLDER))
    try:
        package = import_module('transformers')
    except ImportError as error:
        pytest.fail(f'transformers cannot be imported ({error}); run `make env`, which installs it')
    package.utils.logging.disable_progress_bar()
    yield package
    sys.path.remove(str(FOLDER))
    for name in [*sys.modules]:
        if name.partition('.')[0] == 'transformers':
            del sys.modules[name]
