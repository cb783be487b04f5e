"""What a study file may say, and what it means where it says nothing."""

from pathlib import Path

import pytest
from study_files import STUDY, SWEEP, write_study

from mmtoken.errors import UserError
from mmtoken.experiments.study_file import curve_points, find_arm, find_point, load_study


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    """A folder with a config and a study."""
    monkeypatch.chdir(tmp_path)
    write_study()


def load(text: str):
    """Read a study from its text."""
    Path('depth.py').write_text(text)
    return load_study(Path('depth.py'))


def test_study_without_control_is_refused():
    with pytest.raises(UserError, match="the control 'Wide'"):
        load(STUDY.replace("control = 'Flat'", "control = 'Wide'"))


@pytest.mark.parametrize('other', ['Wide', 'Deep'])
def test_an_arm_is_compared_with_another_one(other):
    assert load(STUDY.replace("'Deep', ", "'Deep', against='Flat', ")).arms[1].against == 'Flat'
    with pytest.raises(UserError, match=f"'Deep' of study .* with against='{other}'; name another"):
        load(STUDY.replace("'Deep', ", f"'Deep', against='{other}', "))


def test_unknown_name_in_a_study_is_refused():
    with pytest.raises(UserError, match='sets seeds, which nothing reads'):
        load(STUDY + 'seeds = 3\n')


def test_missing_name_in_a_study_is_refused():
    with pytest.raises(UserError, match='does not set control'):
        load(STUDY.replace("control = 'Flat'", ''))


@pytest.mark.parametrize(
    ('place', 'old', 'new'),
    [
        ('metrics', 'scale=100', 'scales=100'),
        ('arms', 'keep_checkpoint', 'keep_checkpoints'),
        ('x.values', 'dict(value=4)', 'dict(value=4, iters=5)'),
        ('x', 'log=True', 'logs=True'),
        ('subset', 'total=10', 'total=10, totals=10'),
    ],
)
def test_unknown_name_in_a_part_of_a_study_is_refused(place, old, new):
    with pytest.raises(UserError, match=f'{place} of study depth.py sets'):
        load(STUDY.replace(old, new))


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ("title = 'Depth'", 'title = 5', 'study depth.py has title=5; give a text'),
        ("name='training scenes'", 'name=5', 'x of study depth.py has name=5; give a text'),
        ("key='accuracy/top1'", 'key=5', 'entry of metrics of study depth.py has key=5; give a t'),
        ('scale=100', "scale='100'", "has scale='100'; give a whole number or a number"),
        ("name='Flat'", 'name=5', 'an entry of arms of study depth.py has name=5; give a text'),
        ("config='model.py')", 'config=None)', 'has config=None; give a text'),
        ("dict(name='Flat', config='model.py')", '5', 'arms of study depth.py is 5, and no dict'),
        ('keep_checkpoint=True', 'keep_checkpoint=1', 'keep_checkpoint=1; give True or False'),
        ('values=[dict(value=2), dict(value=4)]', 'values=2', 'values=2; give a list'),
        ('total=10', 'total=True', 'subset of study depth.py has total=True; give a whole number'),
        ("'Flat'", "'deep'", r"has the arms \['deep', 'Deep'\] .*; arms need names that differ in"),
        ("'Flat'", "''", r"has the arms \['', 'Deep'\] .*; arms need names that differ in letters"),
        ('value=4', 'value=2', r'x of study depth.py has the values \[2, 2\]; give one or more'),
    ],
)
def test_what_is_of_another_type_or_has_no_folder_of_its_own_is_refused(old, new, message):
    with pytest.raises(UserError, match=message):
        load(STUDY.replace(old, new))


@pytest.mark.parametrize('nothing', ['iterations', 'sweep'])
def test_what_a_study_may_leave_out_may_be_none(nothing):
    assert load(f'{STUDY}{nothing} = None\n')[nothing] is None


@pytest.mark.parametrize(
    ('place', 'old', 'new'),
    [
        ('sweep', 'seeds=[100]', 'seeds=[100], seed=1'),
        ('sweep.candidates', "dict(name='rate 1'", "dict(lr=1, name='rate 1'"),
    ],
)
def test_unknown_name_in_a_sweep_is_refused(place, old, new):
    with pytest.raises(UserError, match=f'{place} of study depth.py sets'):
        load(SWEEP.replace(old, new))


def test_point_says_what_it_leaves_out():
    point = load(STUDY.replace('value=2', 'value=2000') + 'iterations = 30\n').x['values'][0]
    assert (point.label, point.scenes, point.iterations) == ('2,000', 2000, 30)


def test_point_keeps_what_it_says():
    named = "dict(value='few, long', scenes=2, iterations=60)"
    study = load(STUDY.replace('dict(value=2)', named) + 'iterations = 30\n')
    point = study.x['values'][0]
    assert (point.label, point.scenes, point.iterations) == ('few, long', 2, 60)


def test_point_that_is_no_number_must_name_its_scenes():
    with pytest.raises(UserError, match="'few' of study depth.py names no number of scenes"):
        load(STUDY.replace('value=2', "value='few'"))


def test_subset_needs_one_of_its_two_sources():
    with pytest.raises(UserError, match='needs one of total'):
        load(STUDY.replace('total=10', "total=10, draws='draws.json'"))


def test_draws_are_found_beside_the_study():
    Path('studies').mkdir()
    Path('studies/depth.py').write_text(SWEEP)
    study = load_study(Path('studies/depth.py'))
    assert Path(study.subset.draws) == Path('studies/draws.json')


def test_some_metric_has_a_table():
    with pytest.raises(UserError, match="no metric with report='table'"):
        load(STUDY.replace('scale=100', "report='detail'"))


def test_unknown_report_of_a_metric_is_named():
    with pytest.raises(UserError, match="report='plot'; choose among table, detail"):
        load(STUDY.replace('scale=100', "report='plot'"))


def test_sweep_tunes_at_every_x_unless_it_says_where():
    assert load(SWEEP.replace('x=[4],', '')).sweep.x == [2, 4]


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ('x=[4]', 'x=[3]', r'sweep.x of study depth.py is \[3\]'),
        ("metric='accuracy/top1'", "metric='mIoU'", 'choose among its metrics accuracy/top1'),
        ('seeds=[100]', 'seeds=[]', 'sweep.seeds of study depth.py is empty'),
    ],
)
def test_sweep_that_contradicts_its_study_is_refused(old, new, message):
    with pytest.raises(UserError, match=message):
        load(SWEEP.replace(old, new))


def test_arm_and_point_are_found_by_what_a_command_line_says():
    study = load(STUDY)
    assert find_arm(study, 'Deep').keep_checkpoint and find_point(study, '4').value == 4


def test_unknown_arm_is_named():
    with pytest.raises(UserError, match="--arms Wide.*choose among 'Flat', 'Deep'"):
        find_arm(load(STUDY), 'Wide')


CELLS = """x = dict(
    name='cells',
    values=[
        dict(value='many', scenes=8, iterations=5),
        dict(value='few', scenes=4, iterations=5),
        dict(value='few, long', scenes=4, iterations=9),
    ],
    curves=[dict(name='scenes', key='scenes', where=dict(iterations=5))],
)
"""


def test_a_curve_has_the_points_that_differ_in_one_number():
    study = load(STUDY + CELLS)

    assert curve_points(study, study.x.curves[0]) == [('few', 4), ('many', 8)]


@pytest.mark.parametrize('where', ['scenes=4', 'iterations=7'])
def test_a_curve_of_less_than_two_numbers_is_refused(where):
    with pytest.raises(UserError, match=r"the curve 'scenes' .* has the scenes \[.*; let key"):
        load(STUDY + CELLS.replace('iterations=5))]', f'{where}))]'))
