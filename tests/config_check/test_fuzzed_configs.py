"""Whatever is edited in a right config, tools/train.py builds it, or says what is wrong."""

from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
from fuzzed_configs import CONFIGS, EDITS, MOVES, TASKS, Case, answer, base_content, edited, places
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SAMPLE = settings(
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
MANY = settings(SAMPLE, max_examples=150)
FRACTION = st.floats(0, 1, exclude_max=True)
EDIT = st.sampled_from([*EDITS, *MOVES])


@cache
def right_content(task: str, root: Path) -> dict:
    """The config of a task, which is read once."""
    return base_content(task, root)


def edited_somewhere(content: dict, where: float, edit: str, other: float) -> tuple[Case, set[str]]:
    """An edit of a config, and the keys that a sentence about it may name."""
    known = places(content)
    place, far = known[int(where * len(known))], known[int(other * len(known))]
    if place.startswith(far) or far.startswith(place):
        edit = 'none' if edit == 'swap' else edit
    # What is edited, or what holds it: a part that misses a key is named itself.
    keys = {word for path in (place, far)[: 1 + (edit == 'swap')] for word in _words(path)[-3:]}
    return edited(content, place, edit, far), keys


def _words(place: str) -> list[str]:
    return [word for word in place.split('.') if not word.isdigit()]


def is_told(case: Case, keys: set[str], train: ModuleType, task: str, folder: Path) -> None:
    """Hold what the tool says of a config to the rule."""
    said = answer(case, train, folder, CONFIGS / TASKS[task])

    if said is not None:
        assert said.startswith('error: ') and len(said) < 1000, (case.place, case.edit, said)
        assert any(key in said for key in keys), (case.place, case.edit, said)


@pytest.mark.parametrize('task', TASKS)
def test_a_config_that_is_right_is_built(task, load_tool, tmp_path, digit_scenes):
    case = Case(right_content(task, digit_scenes), '', '')

    assert answer(case, load_tool('train.py'), tmp_path, CONFIGS / TASKS[task]) is None


@SAMPLE
@given(where=FRACTION, edit=EDIT, other=FRACTION)
def test_an_edit_is_built_or_told(load_tool, tmp_path, digit_scenes, where, edit, other):
    content = right_content('classification', digit_scenes)
    case, keys = edited_somewhere(content, where, edit, other)

    is_told(case, keys, load_tool('train.py'), 'classification', tmp_path)


@pytest.mark.long
@pytest.mark.parametrize('task', TASKS)
@MANY
@given(where=FRACTION, edit=EDIT, other=FRACTION)
def test_many_edits_are_built_or_told(task, load_tool, tmp_path, digit_scenes, where, edit, other):
    case, keys = edited_somewhere(right_content(task, digit_scenes), where, edit, other)

    is_told(case, keys, load_tool('train.py'), task, tmp_path)
