"""The noise of the libraries' imports is kept from the terminal, and nothing else is."""

import importlib
import runpy
import sys
import warnings

import pytest

from mmtoken.runtime.stack import quiet_imports

NOISE = """
import sys, warnings
print('could not import another package')
warnings.warn('that package is old', FutureWarning)
warnings.filterwarnings('ignore', message='installed with the module')
KEPT = sys.stdout
"""


@pytest.fixture
def noisy(tmp_path, monkeypatch):
    """A function that runs a module which prints and warns, and returns what is in it."""
    path = tmp_path / 'noisy.py'
    path.write_text(NOISE)
    # Pytest collects warnings; a program shows them.
    monkeypatch.setattr(
        warnings, 'showwarning', lambda message, *_: print(message, file=sys.stderr)
    )
    warnings.simplefilter('always')
    return quiet_imports()(lambda: runpy.run_path(str(path)))


def test_what_an_import_prints_and_warns_of_is_not_shown(noisy, capsys):
    noisy()

    assert capsys.readouterr() == ('', '')


def test_the_noise_of_imports_is_shown_to_who_asks_for_warnings(noisy, capsys, monkeypatch):
    monkeypatch.setattr(sys, 'warnoptions', ['default'])

    noisy()

    out, err = capsys.readouterr()
    assert (out, err) == ('could not import another package\n', 'that package is old\n')


def test_warnings_after_an_import_are_shown_but_those_that_it_filters(noisy, capsys):
    noisy()

    warnings.warn('installed with the module', stacklevel=1)
    warnings.warn('of the run', stacklevel=1)
    assert capsys.readouterr().err == 'of the run\n'


def test_a_module_that_keeps_the_output_is_heard_after_its_import(noisy, capsys):
    print('later', file=noisy()['KEPT'])

    assert capsys.readouterr().out == 'later\n'


def test_an_import_that_fails_says_so():
    with pytest.raises(ModuleNotFoundError), quiet_imports():
        importlib.import_module('no_such_module')
