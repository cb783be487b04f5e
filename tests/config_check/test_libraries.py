"""The check over the leaf configs that come with the libraries: what works passes, and each that is
refused is in ``tests/data/refused_configs.json`` with its true reason.

A reason is true where building what the sentence names fails, or where the run would do something
else than the config says. Configs that wait for a package may be whatever they are with it.
"""

import json
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest
from mmengine.config import Config

from mmtoken.config_check.check import find_problems
from mmtoken.config_check.types import registries
from mmtoken.runtime.stack import require_stack

REPO = Path(__file__).parents[2]
REFUSED = json.loads((REPO / 'tests' / 'data' / 'refused_configs.json').read_text())
LIBRARIES = {name: Path(find_spec(name).origin).parent for name in ('mmpretrain', 'mmdet', 'mmseg')}


def leaves(root: Path) -> list[Path]:
    """The configs below a folder that are no bases of others."""
    files = sorted(root.rglob('*.py'))
    return [file for file in files if '_base_' not in file.relative_to(root).parts]


def library_leaves() -> list[str]:
    """The leaf configs of the libraries, as the data file names them."""
    roots = {name: folder / '.mim' / 'configs' for name, folder in LIBRARIES.items()}
    return [
        f'{name}/{file.relative_to(root)}' for name, root in roots.items() for file in leaves(root)
    ]


def first_refusal(name: str) -> str | None:
    """Why a config of a library is refused; None where it passes."""
    library, _, path = name.partition('/')
    try:
        cfg = Config.fromfile(LIBRARIES[library] / '.mim' / 'configs' / path)
    except Exception as error:  # A config is a program, so reading it can fail in any way.
        return f'cannot be read: {error}'
    return next((problem.text for problem in find_problems(cfg) if problem.certain), None)


def differences(names: Iterable[str]) -> list[str]:
    """One line for each config whose refusal, or its lack, is not what the data file says."""
    names, stack = list(names), require_stack()
    for library in LIBRARIES:
        registries(library)
    expected = {name: entry for entry in REFUSED for name in entry['configs']}
    with ProcessPoolExecutor(2) as pool:
        said = dict(zip(names, pool.map(first_refusal, names, chunksize=4), strict=True))
    lines = []
    for name, text in said.items():
        entry = expected.get(name, {})
        if entry.get('package') and find_spec(entry['package']):
            continue
        if entry.get('stack', stack) != stack:
            entry = {}
        if bool(entry) != bool(text) or entry.get('says', '') not in (text or ''):
            lines.append(f'{name}: {text} (expected: {entry.get("reason")})')
    return lines


@pytest.mark.parametrize('path', leaves(REPO / 'configs'), ids=lambda path: path.stem)
def test_a_leaf_config_of_ours_has_no_problem_at_all(path):
    assert list(find_problems(Config.fromfile(path))) == []


def test_a_sample_of_the_libraries_configs_is_refused_for_true_reasons_alone():
    names = library_leaves()
    sample = {*names[::60], *(entry['configs'][0] for entry in REFUSED)}

    assert differences(name for name in names if name in sample) == []


@pytest.mark.long
def test_every_config_of_the_libraries_is_refused_for_true_reasons_alone():
    names = library_leaves()

    assert len(names) > 2000
    assert differences(names) == []
