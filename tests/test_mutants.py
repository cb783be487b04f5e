"""The driver of the mutation run: what it leaves out, its sample, and when it is content."""

import json

import mutants
import pytest

MUTATED = '''
class Box:
    def xǁBoxǁarea__mutmut_orig(self, side):
        """Words."""
        if side < 0:
            raise ValueError(f'side {side - 1} is', 'negative')
        return side * 2

    def xǁBoxǁarea__mutmut_1(self, side):
        """Words."""
        if side < 0:
            raise ValueError(f'side {side - 1} is', 'XXnegativeXX')
        return side * 2

    def xǁBoxǁarea__mutmut_2(self, side):
        """Words."""
        if side < 0:
            raise ValueError(f'side {side + 1} is', 'negative')
        return side * 2

    def xǁBoxǁarea__mutmut_3(self, side):
        """Words."""
        if side < 0:
            raise ValueError(f'side {side - 1} is', 'negative')
        return side / 2
'''
AREA = 'mmtoken.life.box.xǁBoxǁarea__mutmut_'


@pytest.fixture
def folder(tmp_path):
    """A working folder as mutmut leaves it."""
    source = tmp_path / 'mutants' / 'src' / 'mmtoken' / 'life' / 'box.py'
    source.parent.mkdir(parents=True)
    source.write_text(MUTATED, 'utf-8')
    codes = {f'{AREA}1': 0, f'{AREA}2': None, f'{AREA}3': 1}
    original = tmp_path / 'src' / 'mmtoken' / 'life' / 'box.py'
    original.parent.mkdir(parents=True)
    original.touch()
    (source.parent / 'box.py.meta').write_text(json.dumps(dict(exit_code_by_key=codes)))
    return tmp_path


def test_mutants_of_the_words_of_a_message_are_left_out_and_those_of_its_numbers_not(folder):
    codes, diffs = mutants.read_mutants(folder)

    assert list(diffs) == [f'{AREA}2', f'{AREA}3']
    assert diffs[f'{AREA}3'] == '-    return side * 2\n+    return side / 2'
    assert codes == {f'{AREA}1': 0, f'{AREA}2': None, f'{AREA}3': 1}


def test_mutants_of_a_module_that_is_gone_are_forgotten(folder):
    (folder / 'src' / 'mmtoken' / 'life' / 'box.py').unlink()

    assert mutants.read_mutants(folder) == ({}, {})


def test_the_sample_stays_where_the_code_does():
    names = [f'mmtoken.vit.f__mutmut_{number}' for number in range(400)]

    before = mutants.choose(names, 100)
    after = mutants.choose([*reversed(names[20:]), 'mmtoken.vit.g__mutmut_1'], 100)

    assert len(before) == len(set(before)) == 100
    assert len(set(before) & set(after)) >= 80
    assert before != names[:100]


@pytest.mark.parametrize(('survivors', 'code'), [(0, 0), (1, 0), (2, 1)])
def test_more_than_a_tenth_of_survivors_fails(survivors, code, capsys):
    names = [f'mmtoken.life.f__mutmut_{number}' for number in range(10)]
    codes = {name: 0 if place < survivors else 1 for place, name in enumerate(names)}
    diffs = dict.fromkeys(names, '-old\n+new')

    assert mutants.report(names, codes, diffs) == code

    said = capsys.readouterr().out
    assert said.count('survived\n-old\n+new') == survivors
    assert f'{10 - survivors} of 10 mutants killed' in said


@pytest.mark.parametrize(
    ('code', 'state'),
    [(0, 'survived'), (33, 'reached by no test'), (-9, 'ended with code -9'), (None, 'not tried')],
)
def test_only_what_made_a_test_fail_or_hang_is_killed(code, state, capsys):
    name = 'mmtoken.life.f__mutmut_1'

    mutants.report([name], {name: code}, {name: ''})

    assert f'{name}: {state}' in capsys.readouterr().out
