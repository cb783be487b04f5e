"""The speed of a scoreboard's rows: each takes a step of its own training."""

from pathlib import Path

import pytest
from label_stores import write_label_store
from scoreboard_files import BOARD

from mmtoken.experiments.scoreboard_costs import row_speed, time_classifiers
from mmtoken.experiments.scoreboard_file import load_board
from mmtoken.experiments.scoreboard_stages import make_studies

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'glyphs'
ROWS = {
    'Flat': 'deit-d6w96_glyphs-cls.py',
    'labeled': 'token-label-deit-d6w96_glyphs-cls.py',
    'calibrated': 'calibrated-deit-d6w96_glyphs-cls.py',
}
STAGES = [dict(begin=1, losses=['token']), dict(begin=2, losses=['dimension'])]


@pytest.fixture
def studies(glyph_scenes, tmp_path):
    """The stages of a board of three rows, on tiny data."""
    images = glyph_scenes / 'classification' / 'train'
    names = [path.relative_to(images).as_posix() for path in images.rglob('*.png')]
    rows = []
    for name, config in ROWS.items():
        data = 'train_dataloader.dataset'
        options = {f'{data}.data_root': str(images.parent), 'train_dataloader.batch_size': 4}
        if name != 'Flat':
            kind = 'share' if name == 'calibrated' else 'logit'
            write_label_store(tmp_path / name, names, 97, kind)
            options[f'{data}.pipeline.1.store'] = str(tmp_path / name)
            options[f'{data}.pipeline.1.images'] = str(images)
        if name == 'calibrated':
            options['custom_hooks.0.stages'] = STAGES
        rows.append(dict(name=name, config=str(CONFIGS / config), options=options))
    path = tmp_path / 'board.py'
    dense = CONFIGS.parent / 'digits' / 'mask-rcnn_life-d6w96_digits-det.py'
    path.write_text(f'{BOARD.replace("dense.py", str(dense))}\nrows = {rows!r}\n')
    return make_studies(load_board(path), path)


def test_rows_that_learn_from_maps_are_timed_with_maps(studies):
    speed = time_classifiers(studies, 'Flat', rounds=1)

    assert {found['row'] for found in speed['train']['cases'][0]['ratios']} == ROWS.keys()
    for row, digest in speed['digests'].items():
        assert row_speed(speed, row, digest)['ratio']['median'] > 0
