"""Who is gone and who hangs, judged from reports at made-up times."""

from dataclasses import replace

import pytest

from mmtoken.runtime.guards.watch import DATA, STEP, Report, Watch

TIMEOUT, SLOW_TIMEOUT = 60, 600
WORKING = Report(beat=1, host='a', pid=7, step=30, phase=STEP, usual=0.5)


def watched(times: dict[float, dict[int, Report]], rank: int = 0) -> Watch:
    """A watch that heard reports at some times."""
    watch = Watch(rank, TIMEOUT, SLOW_TIMEOUT, now=0)
    for now, reports in times.items():
        watch.hear(reports, now)
    return watch


def beating(until: int, **changes: Report) -> dict[float, dict[int, Report]]:
    """Reports of two processes each five seconds, of which nothing but the beat changes."""
    changed = {0: changes.get('first', WORKING), 1: changes.get('second', WORKING)}
    return {
        now: {rank: replace(report, beat=now) for rank, report in changed.items()}
        for now in range(0, until + 1, 5)
    }


def test_a_report_is_the_same_after_the_way():
    assert Report.loads(WORKING.dumps()) == WORKING


def test_who_is_not_heard_of_any_more_is_gone():
    heard = beating(100, first=replace(WORKING, phase='validating'))
    for now in heard:
        heard[now][1] = replace(WORKING, host='b', pid=9, phase=DATA, beat=min(now, 20))

    verdict = watched(heard).judge(now=70)

    assert verdict.ranks == (1,)
    assert verdict.sentence.startswith(
        'rank 1 (host b, process 9), last loading data after 30 steps, has not been heard of for '
    )


def test_who_is_heard_of_is_not_gone():
    assert watched(beating(100, second=replace(WORKING, phase='validating'))).judge(101) is None


def test_it_is_waited_before_one_is_gone_and_yet_all_end_in_time():
    busy = replace(WORKING, phase='validating')
    heard = {
        now: {0: replace(busy, beat=now), 1: replace(WORKING, beat=1)} for now in range(0, 56, 5)
    }
    watch = watched(heard)

    assert watch.judge(40) is None
    assert watch.judge(45).ranks == (1,)


def test_who_is_done_may_be_silent():
    heard = beating(100)
    for now in heard:
        heard[now][1] = replace(WORKING, done=True, phase='starting')

    assert watched(heard).judge(101) is None


def test_without_an_answer_the_first_process_is_gone():
    verdict = watched(beating(20), rank=1).judge(now=70)

    assert verdict.ranks == (0,)
    assert verdict.sentence.startswith('rank 0 (host a, process 7), last in the step')


def test_the_first_process_may_go_when_it_is_done():
    heard = beating(20, first=replace(WORKING, done=True))

    assert watched(heard, rank=1).judge(now=70) is None


def test_the_first_process_blames_nobody_when_it_does_not_answer_itself():
    assert watched(beating(20), rank=0).judge(now=70) is None


def moving(until: int, **changes: Report) -> dict[float, dict[int, Report]]:
    """The same, of which the main thread of the second one moves."""
    heard = beating(until, **changes)
    for now in heard:
        heard[now][1] = replace(heard[now][1], place=now)
    return heard


def test_one_that_waits_for_data_while_others_are_in_a_step_hangs():
    verdict = watched(beating(100, second=replace(WORKING, phase=DATA))).judge(101)

    assert verdict.ranks == (1,) and verdict.ends
    sentence = 'rank 1 (host a, process 7) has not got on for 101 s: it is loading data after 30 '
    assert verdict.sentence.startswith(sentence)


@pytest.mark.parametrize('phase', [DATA, STEP])
def test_one_that_moves_is_warned_of_and_ends_the_run_when_that_lasts(phase):
    heard = moving(500, second=replace(WORKING, phase=phase))

    warning, verdict = watched(heard).judge(101), watched(heard).judge(501)

    assert (warning.ends, verdict.ends) == (False, True)
    assert 'for 101 s' in warning.sentence and 'for 501 s' in verdict.sentence
    assert warning.sentence.endswith('the run ends when that has lasted 400 s')


def test_one_that_moves_keeps_no_other_one_that_is_behind_from_ending_the_run():
    heard = beating(100, second=replace(WORKING, step=29))
    for now in heard:
        heard[now][0] = replace(heard[now][0], place=now)

    assert watched(heard).judge(101).ends is True


def test_one_that_is_a_step_behind_hangs():
    verdict = watched(beating(100, second=replace(WORKING, step=29))).judge(101)

    assert verdict.ranks == (1,) and verdict.ends


def test_that_all_hang_is_said():
    verdict = watched(beating(100)).judge(101)

    assert verdict.ranks == (0, 1) and verdict.ends
    assert verdict.sentence.startswith('no process has got on for 101 s: all are in the step')


@pytest.mark.parametrize(
    'phase', ['validating', 'in a hook', 'compiling', 'in the first steps', 'starting']
)
@pytest.mark.parametrize('who', ['first', 'second'])
def test_for_what_may_take_long_the_others_wait(who, phase):
    heard = beating(1000, **{who: replace(WORKING, phase=phase)})

    assert watched(heard).judge(1001) is None


def test_a_slow_disk_is_no_hang():
    loading = replace(WORKING, phase=DATA)

    verdict = watched(beating(1000, first=loading, second=loading)).judge(1001)

    assert verdict.ends is False
    assert verdict.sentence.endswith('look at the disk and the data loading processes')


def test_who_gets_on_does_not_hang():
    heard = beating(100)
    for now in heard:
        heard[now][0] = replace(heard[now][0], step=now // 40)

    assert watched(heard).judge(101) is None


def test_slow_steps_are_waited_for():
    slow = replace(WORKING, usual=10)

    watch = watched(beating(250, first=slow))

    assert watch.judge(199) is None
    assert watch.judge(250).ranks == (0, 1)


def test_after_it_was_stopped_itself_it_begins_to_wait_anew():
    watch = watched(beating(20), rank=1)
    watch.forgive(now=500)

    assert watch.judge(501) is None
    assert watch.judge(560).ranks == (0,)
