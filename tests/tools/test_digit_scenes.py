"""tools/dataset_converters/digit_scenes.py: its options, and what it answers to bad ones."""

import json
from collections.abc import Callable
from types import ModuleType

import pytest

COUNTS = ('--cls-train', 2, '--cls-val', 1, '--train', 1, '--val', 1, '--workers', 1)


@pytest.fixture
def convert(load_tool: Callable[[str], ModuleType]) -> Callable[..., None]:
    """`main` of tools/dataset_converters/digit_scenes.py, taking the command line's words."""
    main = load_tool('dataset_converters/digit_scenes.py').main
    return lambda *words: main([str(word) for word in words])


def test_every_option_is_written_down(convert, tmp_path):
    convert('--out', tmp_path / 'out', *COUNTS, '--size', 96, '--max-digits', 2, '--min-digits', 2)

    options = json.loads((tmp_path / 'out' / 'meta.json').read_text())['options']
    assert (options['cls_train'], options['size']) == (2, 96)
    assert (options['min_digits'], options['max_digits']) == (2, 2)


def test_second_call_says_that_nothing_needs_to_be_done(convert, tmp_path, capsys):
    convert('--out', tmp_path / 'out', *COUNTS)
    capsys.readouterr()

    convert('--out', tmp_path / 'out', *COUNTS)

    assert capsys.readouterr().out.strip().endswith('is there with these options; nothing to do')


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (('--size', 32), 'image size 32 leaves digits of 7 pixels'),
        (('--difficulty', 'brutal'), "difficulty 'brutal' is unknown"),
        (('--occlusion', 1.5), 'occlusion 1.5 is no share'),
        (('--workers', 0), 'workers 0'),
        (('--train', 0), 'train 0 asks for no image'),
    ],
)
def test_bad_value_is_answered_by_one_sentence_and_exit_code_2(
    convert, tmp_path, capsys, words, message
):
    with pytest.raises(SystemExit) as exit_:
        convert('--out', tmp_path / 'out', *words)

    assert exit_.value.code == 2
    assert capsys.readouterr().err.startswith(f'error: {message}')
    assert not list(tmp_path.iterdir())


def test_other_options_for_an_existing_folder_exit_with_code_2(convert, tmp_path, capsys):
    convert('--out', tmp_path / 'out', *COUNTS)

    with pytest.raises(SystemExit) as exit_:
        convert('--out', tmp_path / 'out', *COUNTS, '--difficulty', 'hard')

    assert exit_.value.code == 2
    assert 'was made with difficulty easy, not difficulty hard' in capsys.readouterr().err


def test_a_file_in_place_of_the_folder_exits_with_code_2(convert, tmp_path, capsys):
    (tmp_path / 'file').write_text('')

    with pytest.raises(SystemExit) as exit_:
        convert('--out', tmp_path / 'file' / 'out', *COUNTS)

    assert exit_.value.code == 2
    assert 'cannot be written' in capsys.readouterr().err
