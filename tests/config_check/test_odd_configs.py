"""Configs of odd shapes: each is answered, none ends the check."""

from hypothesis import given, settings
from hypothesis import strategies as st
from small_configs import CONFIGS, small_config

from mmtoken.config_check.check import find_problems
from mmtoken.config_check.schema import subtrees

PLACES = [
    (scope, place)
    for scope, content in CONFIGS.items()
    for key in content.keys() - {'default_scope'}
    for place, _ in subtrees((key,), content[key])
    if '.classes.' not in place
]
ODD = ['x', 3, [1], {1: 2}, {'type': 3}, [{'type': 'LN'}], None]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(PLACES)), st.sampled_from(ODD))
def test_whatever_stands_at_a_place_the_check_has_an_answer(place, value):
    scope, key = place

    problems = list(find_problems(small_config(scope, {key: value})))

    assert all(problem.text for problem in problems)
