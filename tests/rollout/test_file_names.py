"""Names of classes and images as names of files."""

from mmtoken.rollout import file_names


def test_what_no_file_name_has_becomes_a_hyphen():
    assert file_names(['Cabinet/shelf', 'tree_1.a', 'ä  b', 'a-b']) == [
        'Cabinet-shelf', 'tree_1.a', 'ä-b', 'a-b',
    ]  # fmt: skip


def test_names_that_would_be_alike_are_numbered_from_the_second_on():
    assert file_names(['a b', 'a/b', 'c', 'a b', 'a-b-2']) == [
        'a-b',
        'a-b-2',
        'c',
        'a-b-3',
        'a-b-2-2',
    ]
