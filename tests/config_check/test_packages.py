"""A type that waits for an optional package is told from one that nothing registers."""

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS
from mmpretrain.utils.dependency import register_multimodal_placeholder, require

from mmtoken.config_check.check import find_problems
from mmtoken.config_check.packages import is_stand_in, why_not_built, why_unregistered

absent_package = None


class Declaring:
    @require('absent-package>=2.0')
    def __init__(self) -> None:
        pass


class Refusing:
    def __init__(self, depth: int) -> None:
        if absent_package is None:
            raise RuntimeError('absent_package is not installed. Run "pip install absent"')


class Content:
    def __init__(self, depth: int | None = None) -> None:
        if depth is None:
            raise ValueError('depth is missing')


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A library that leaves modules out where a package is missing, imported."""
    root = tmp_path / 'tinylib'
    (root / 'parts').mkdir(parents=True)
    (root / '__init__.py').write_text('from . import parts\n')
    (root / 'needs.py').write_text("MANY = all(False for _ in ['torch', 'absent-package>=2.0'])\n")
    (root / 'parts' / '__init__.py').write_text(
        'from tinylib.needs import MANY\n\nif MANY:\n    from .guarded import Guarded\n'
        'try:\n    from .importing import Importing\nexcept ImportError:\n    pass\n'
    )
    (root / 'parts' / 'guarded.py').write_text('import torch\n\n\nclass Guarded:\n    pass\n')
    (root / 'parts' / 'importing.py').write_text(
        'from absent_package.models import Model\n\n\nclass Importing(Model):\n    pass\n'
        '\n\nregister(Model)\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    __import__('tinylib')
    return 'tinylib'


def test_the_package_that_guards_the_import_of_a_module_is_named(library):
    said = why_unregistered('Guarded', (library,))

    assert said == 'absent-package is not installed; pip install "absent-package>=2.0"'


@pytest.mark.parametrize('name', ['Importing', 'Model'])
def test_the_package_that_a_module_imports_is_named(library, name):
    said = why_unregistered(name, (library,))

    assert said == 'absent_package is not installed; pip install absent_package'


def test_a_name_that_no_module_defines_waits_for_nothing(library):
    assert why_unregistered('Guardian', (library,)) is None


def test_a_class_that_declares_its_package_names_it():
    said = why_not_built(Declaring)

    assert said == 'absent-package is not installed; pip install "absent-package>=2.0"'


def test_a_class_that_raises_without_its_package_says_so():
    assert why_not_built(Refusing) == 'absent_package is not installed; Run "pip install absent"'


@pytest.mark.parametrize('target', [Content, len, int])
def test_what_needs_no_package_is_let_pass(target):
    assert why_not_built(target) is None


@pytest.mark.parametrize(('key', 'certain'), [('model', True), ('val_evaluator', False)])
def test_only_of_a_model_is_it_certain_that_it_will_be_built(key, certain):
    (problem,) = find_problems(Config({key: dict(type=Refusing, depth=1)}))

    assert problem.text.startswith(f'{key}.type {Refusing!r} cannot be built: absent_package is')
    assert problem.certain is certain


def test_what_only_says_that_a_package_is_missing_is_not_the_type():
    register_multimodal_placeholder(['AbsentModel'], MODELS)
    try:
        assert is_stand_in(MODELS.module_dict['AbsentModel'])
        assert not is_stand_in(why_not_built)
        model = dict(type='AbsentModel', anything=dict(type='Whatever'))
        (problem,) = find_problems(Config(dict(model=model)))
    finally:
        del MODELS.module_dict['AbsentModel']

    assert problem.text.startswith("model.type 'AbsentModel' ")
