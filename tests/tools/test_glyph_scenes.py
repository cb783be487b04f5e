"""tools/dataset_converters/glyph_scenes.py: what it has beyond digit_scenes.py."""

import json

import pytest

COUNTS = ['--cls-train', '12', '--cls-val', '10', '--train', '1', '--val', '1', '--workers', '1']


@pytest.fixture
def convert(load_tool, tmp_path):
    """`main` of the tool, writing to tmp_path / 'out'."""
    main = load_tool('dataset_converters/glyph_scenes.py').main
    return lambda *words: main(['--out', str(tmp_path / 'out'), *COUNTS, *words])


def test_the_options_and_the_classes_are_written_down(convert, tmp_path):
    convert('--classes', '11', '--imbalance', '3', '--max-glyphs', '2')

    meta = json.loads((tmp_path / 'out' / 'meta.json').read_text())
    folders = {path.name for path in (tmp_path / 'out' / 'classification' / 'train').iterdir()}
    assert meta['name'] == 'glyph scenes'
    options = meta['options']
    assert (options['classes'], options['imbalance'], options['max_glyphs']) == (11, 3.0, 2)
    assert len(meta['classes']) == 11
    assert set(meta['classes']) == folders


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['--classes', '1000'], 'classes 1000 cannot be drawn; choose 10 to'),
        (['--imbalance', '0.1'], 'imbalance 0.1 is not how many times rarer'),
        (['--max-glyphs', '0'], 'min-glyphs 1 and max-glyphs 0 do not fit'),
    ],
)
def test_bad_value_is_answered_by_one_sentence_and_exit_code_2(
    convert, tmp_path, capsys, words, message
):
    with pytest.raises(SystemExit) as exit_:
        convert(*words)

    assert exit_.value.code == 2
    assert capsys.readouterr().err.startswith(f'error: {message}')
    assert not list(tmp_path.iterdir())


def test_digit_scenes_are_not_replaced_by_glyphs(digit_scenes, load_tool, capsys):
    main = load_tool('dataset_converters/glyph_scenes.py').main
    before = (digit_scenes / 'meta.json').read_bytes()

    with pytest.raises(SystemExit) as exit_:
        main(['--out', str(digit_scenes), *COUNTS, '--overwrite'])

    assert exit_.value.code == 2
    assert 'exists and is not a glyph scenes folder' in capsys.readouterr().err
    assert (digit_scenes / 'meta.json').read_bytes() == before
