"""What the schedules of a space cost, and the budget that they are to meet."""

from types import SimpleNamespace

import pytest
from mmengine.config import Config
from search_files import changed

from mmtoken.errors import UserError
from mmtoken.experiments.costs import count_costs, image_shape
from mmtoken.experiments.scoreboard_stages import build_part
from mmtoken.psvit.search import budget, build_space
from mmtoken.psvit.search.budget import Costs, Prices, scheduled_backbone
from mmtoken.psvit.search.checks import least_costly
from mmtoken.psvit.search.evolution import evolve
from mmtoken.psvit.search.search_file import EVOLUTION


def test_costs_that_are_added_up_are_those_that_are_counted(search):
    space = build_space(dict(units=3, widths=[12, 24], num_heads=[2, 3]))
    cfg = Config.fromfile('small.py')
    costs = Costs(cfg, space)

    for text in ('FFFS|FS', 'FS|FFFF', 'FSFF|FF'):
        cfg.model.backbone = scheduled_backbone(
            cfg.model.backbone.to_dict(), space.stages(space.read(text))
        )
        counted = count_costs(build_part(cfg, cfg.model), image_shape(cfg, None), 'mmpretrain')
        found = costs.count(space.read(text))
        assert found == {kind: counted[kind] for kind in ('macs', 'params')}


def test_latency_is_the_median_of_passes(search, monkeypatch):
    space = build_space(search.space)

    clock = iter(range(100))
    monkeypatch.setattr(budget.time, 'perf_counter', lambda: next(clock) ** 2 / 1000)
    milliseconds = Costs(Config.fromfile('small.py'), space).latency(next(iter(space)))

    # Passes take 1, 5, 9, … ms by this clock; five are left out, and the median is the 13th.
    assert milliseconds == pytest.approx(4 * 12 + 1)


def test_a_budget_that_no_schedule_meets_names_the_least():
    space = build_space(dict(units=5, widths=[12, 24, 48], num_heads=[2, 3, 4]))

    def price(schedule):
        # As parameters: wider stages cost more, so that those that pool late cost least.
        widths = zip((1, 4, 16), str(schedule).split('|'), strict=True)
        return sum(width * (12 * len(part) - 2 * part.count('S')) for width, part in widths)

    true = min(space, key=price)
    with pytest.raises(UserError, match=r'the least, FSFSFS\|FS\|FS, costs 506: raise'):
        least_costly(space, dict(macs=505), price)
    assert least_costly(space, dict(macs=506), price) == true


def test_a_budget_that_one_schedule_meets_is_searched():
    space = build_space(dict(units=12, widths=[1, 2, 3], num_heads=[1, 1, 1]))
    only = space.read('FS|FS|' + 'FS' * 10)

    found = evolve(
        space, lambda schedule: schedule == only, lambda some: dict.fromkeys(some, 1.0),
        EVOLUTION, 0, [only],
    )  # fmt: skip

    assert list(found) == [only]


def test_a_budget_from_and_to_has_schedules_within_it():
    space = build_space(dict(units=3, widths=[12, 24], num_heads=[2, 3]))

    def price(schedule):
        return 10 * len(str(schedule).split('|')[0]) + str(schedule).count('S')

    # Two or four layers before the pool, and up to three that share.
    found = least_costly(space, dict(macs=(42, 100)), price)
    assert found == space.read('FFFS|FS') and price(found) == 42
    assert price(least_costly(space, dict(macs=(1, 100)), price)) == 20
    with pytest.raises(UserError, match='no schedule of the space costs from 30 to 39 macs'):
        least_costly(space, dict(macs=(30, 39)), price)


def test_a_schedule_that_shares_may_be_dearer_by_the_clock():
    space = build_space(dict(units=4, widths=[12, 24], num_heads=[2, 3]))

    def price(schedule):
        # Sharing is dearer in the second stage, and units of the first are dearer.
        first, second = str(schedule).split('|')
        return 10 * len(first) - first.count('S') + 5 * len(second) + second.count('S')

    assert least_costly(space, dict(latency_ms=49), price) == space.read('FS|FFFFFF')
    with pytest.raises(UserError, match=r'the least, FS\|FFFFFF, costs 49: raise'):
        least_costly(space, dict(latency_ms=48), price)


def test_the_least_is_found_by_timing_a_few():
    space = build_space(dict(units=12, widths=[12, 24, 48], num_heads=[2, 3, 4]))
    timed = set()

    least_costly(space, dict(latency_ms=1), lambda schedule: timed.add(schedule) or 1.0)

    # 2³ kinds of units, and 11·10/2 places of the pools, of 225,280 schedules.
    assert len(timed) <= 8 + 55 and len(space) == 225_280


def test_timings_are_of_the_space_whose_folder_it_is(tmp_path):
    narrow, wide = SimpleNamespace(latency=lambda _: 1.0), SimpleNamespace(latency=lambda _: 10.0)
    schedule = next(iter(build_space(dict(units=2, widths=[12, 24], num_heads=[2, 3]))))
    stamp, budget = tmp_path / 'search.json', dict(latency_ms=5)

    # A search that was refused before the folder was its own leaves no timing.
    assert Prices(narrow, budget, stamp)(schedule) == 1.0
    assert not any(tmp_path.iterdir())
    (tmp_path / 'latency.json').write_text(f'{{"{schedule}": 1.0}}')
    price = Prices(wide, budget, stamp)
    assert price(schedule) == 10.0

    # That of the search whose folder it is goes on with its own.
    stamp.touch()
    price.keep()
    assert Prices(narrow, budget, stamp)(schedule) == 10.0


def test_a_space_in_a_folder_of_a_refused_one_is_timed_anew(search, load_tool, monkeypatch, capsys):
    monkeypatch.setattr(
        budget, 'latency', lambda model, _: model.backbone.layers[0].ln1.weight.numel()
    )
    main = load_tool('search.py').main
    for width in (12, 48):
        changed(
            f'budget = dict(latency_ms=1, _delete_=True)\n'
            f'space = dict(units=2, widths=[{width}, 24], num_heads=[2, 3])\n'
        )

        with pytest.raises(SystemExit):
            main(['search.py', '--work-dir', 'work'])

        assert f'costs {width}: raise the budget' in capsys.readouterr().err
