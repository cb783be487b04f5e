"""A space's schedules: how many, how they are written and read, and how they are bred."""

from collections import Counter
from random import Random

import pytest

from mmtoken.errors import UserError
from mmtoken.psvit.search import Schedule, Space, build_space
from mmtoken.psvit.search.evolution import best, evolve

OPTIONS = dict(population=8, generations=6, parents=4, crossover=4, mutation=4, probability=0.2)


def small(**options):
    return Space(**{'units': 5, 'widths': [24, 48], 'num_heads': [2, 4], **options})


@pytest.mark.parametrize(
    ('options', 'count'),
    [
        (dict(units=6, widths=[1, 2, 3], num_heads=[1, 1, 1]), 640),
        (dict(units=7, widths=[1, 2, 3], num_heads=[1, 1, 1]), 1920),
        (dict(units=4), 48),
        (dict(widths=[24], num_heads=[2]), 32),
        (dict(choices=['FS']), 4),
    ],
)
def test_it_has_as_many_schedules_as_it_says(options, count):
    space = small(**options)

    schedules = list(space)

    assert len(space) == len(schedules) == len(set(schedules)) == count
    assert all(schedule in space for schedule in schedules)


def test_a_schedule_is_read_as_it_is_written():
    space = small()

    assert str(Schedule(('FF', 'FS', 'FF', 'FF', 'FS'), (2,))) == 'FFFS|FFFFFS'
    assert all(space.read(str(schedule)) == schedule for schedule in space)


@pytest.mark.parametrize(
    'text', ['FFFF', 'FFFS|FFFFSS', 'FFF|SFFFFFS', 'FFFSFFFFFS|', 'FF|FF|FFFFFF']
)
def test_what_is_no_schedule_of_the_space_is_refused(text):
    with pytest.raises(UserError, match='no schedule of this space of 128; one is'):
        small().read(text)


def test_stages_are_what_a_psvit_takes():
    stages = small().stages(small().read('FFFS|FFFFFS'))

    assert stages == [
        dict(depth=4, embed_dims=24, num_heads=2, pattern='FFFS'),
        dict(depth=6, embed_dims=48, num_heads=4, pattern='FFFFFS'),
    ]


def test_every_schedule_is_as_probable_as_any_other():
    space, random = small(units=3), Random(0)

    drawn = Counter(space.sample(random) for _ in range(8000))

    assert len(drawn) == len(space) == 16
    assert all(400 < count < 600 for count in drawn.values())


def test_children_are_of_their_parents():
    space, random = small(), Random(0)
    first, second = space.read('FFFF|FFFFFF'), space.read('FSFSFSFS|FS')

    children = [space.cross(first, second, random) for _ in range(50)]
    same = [space.mutate(first, random, 0.0) for _ in range(5)]
    mutants = [space.mutate(first, random, 0.3) for _ in range(50)]

    assert {child.pools for child in children} == {(2,), (4,)}
    assert all(child in space for child in (*children, *mutants))
    assert same == [first] * 5
    assert len(set(mutants)) > 10


def test_evolution_finds_the_best_of_a_space_within_the_budget():
    space, asked = small(units=8), []

    def fits(schedule):
        return str(schedule).count('S') >= 4

    def judge(schedules):
        asked.extend(schedules)
        # The more sharing in the first half, the better, and the later the pool.
        return {s: s.units[:4].count('FS') - s.units[4:].count('FS') + s.pools[0] / 10
                for s in schedules}  # fmt: skip

    found = evolve(space, fits, judge, OPTIONS | dict(generations=15), seed=0)

    assert str(best(found, 1)[0]) == 'FSFSFSFSFFFFFF|FF'
    assert all(fits(schedule) for schedule in asked)
    assert len(asked) == len(set(asked)) <= 15 * 8 < len(space)


def test_the_same_seed_asks_for_the_same_schedules():
    def run(seed):
        asked = []
        evolve(
            small(units=8), lambda _: True,
            lambda some: asked.extend(some) or {s: str(s).count('S') for s in some}, OPTIONS, seed,
        )  # fmt: skip
        return asked

    assert run(0) == run(0) != run(1)


def test_a_space_that_is_exhausted_ends_the_search():
    space = small(units=3)

    found = evolve(space, lambda _: True, lambda some: dict.fromkeys(some, 0.0), OPTIONS, seed=0)

    assert len(found) == len(space)


def test_of_equals_the_first_in_the_alphabet_is_best():
    space = small(units=3)

    found = dict.fromkeys(reversed(list(space)), 1.0)

    # Three units, one pool: letters come before the bar.
    assert [str(schedule) for schedule in best(found, 2)] == ['FFFF|FF', 'FFFF|FS']


@pytest.mark.parametrize(
    ('options', 'named'),
    [
        (dict(units=0), r'space.units 0'),
        (dict(units=1), r'space.widths \[24, 48\] are more stages than the 1 units'),
        (dict(num_heads=[2]), r'space.num_heads \[2\] is not as long as space.widths'),
        (dict(widths=24), r'space.widths 24 is no list'),
        (dict(widths=[24, 0]), r'space.widths 0'),
        (dict(choices=['FF', 'SF']), r"space.choices \['FF', 'SF'\] are not some of"),
        (dict(choices=[]), r'space.choices \[\] are not some of'),
    ],
)
def test_spaces_without_meaning_are_refused(options, named):
    with pytest.raises(UserError, match=named):
        small(**options)


def test_keys_that_a_space_lacks_or_does_not_take_are_named():
    with pytest.raises(UserError, match='space lacks num_heads'):
        build_space(dict(units=4, widths=[24]))
    with pytest.raises(UserError, match='space has unknown keys depth'):
        build_space(dict(units=4, widths=[24], num_heads=[2], depth=3))
