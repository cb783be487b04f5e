"""Which training scenes a run sees: draws of its own, and those of a checked-in file."""

import json
from pathlib import Path

import pytest

from mmtoken.errors import UserError
from mmtoken.experiments.study_draws import (
    drawn_indices,
    make_draws,
    subset_indices,
    write_draws,
)

SCENES = Path(__file__).parents[2] / 'tools/analysis_tools/studies/scenes/first_1200_of_1500.json'


def test_smaller_subset_is_part_of_the_larger():
    small, large = subset_indices(10, 100, 3), subset_indices(30, 100, 3)
    assert len(set(small)) == 10 and set(small) < set(large)


def test_subset_depends_on_the_seed():
    assert subset_indices(10, 100, 0) != subset_indices(10, 100, 1)


def test_checked_in_scenes_are_what_is_drawn():
    assert json.loads(SCENES.read_text()) == make_draws(total=1500, drawn_from=1200, number=5)


def test_written_draws_are_read_back(tmp_path):
    draws = make_draws(total=10, drawn_from=8, number=2)
    write_draws(draws, tmp_path / 'draws.json')
    assert json.loads((tmp_path / 'draws.json').read_text()) == draws


@pytest.mark.parametrize('seed', range(5))
def test_draws_are_nested_and_leave_the_last_scenes_out(seed):
    small, middle, large = ({*drawn_indices(SCENES, size, seed)} for size in (30, 100, 300))
    assert [len(draw) for draw in (small, middle, large)] == [30, 100, 300]
    assert small < middle < large < {*range(1200)}


def test_five_seeds_have_five_draws_and_the_sixth_the_first_again():
    draws = [drawn_indices(SCENES, 30, seed) for seed in (0, 1, 2, 3, 4, 100)]
    assert draws[5] == draws[0] and len({tuple(draw) for draw in draws}) == 5


def test_all_scenes_need_no_list():
    assert drawn_indices(SCENES, 1500, 0) is None


@pytest.mark.parametrize('size', [0, 1201])
def test_draw_of_no_scene_or_of_held_out_ones_is_refused(size):
    with pytest.raises(UserError, match=f'no draw of {size} scenes; choose 1 to 1200, or all 1500'):
        drawn_indices(SCENES, size, 0)


def test_missing_file_of_draws_is_named(tmp_path):
    with pytest.raises(UserError, match=r'no.json does not exist'):
        drawn_indices(tmp_path / 'no.json', 30, 0)
