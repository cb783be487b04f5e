"""A row of the scoreboard through the real tools, on tiny data: two iterations of everything."""

import json
import math
from pathlib import Path

import pytest

from mmtoken.datasets import DigitDataOptions, write_scene_data
from mmtoken.experiments.study_draws import make_draws, write_draws

REPO = Path(__file__).parents[2]
BOARD = f"""
_base_ = '{REPO}/tools/analysis_tools/scoreboards/glyphs.py'
seeds = [0]
draws = 'draws.json'
_dense = dict(iterations=2, scenes=12)
stages = dict(classification=dict(iterations=2), detection=_dense, segmentation=_dense)
"""


@pytest.mark.long
# CAT stands for the pyramids: it has maps at other strides than the others.
@pytest.mark.parametrize('row', ['LIFE pooled', 'Swin V2 + LIFE', 'CAT'])
def test_row_gets_all_its_cells(row, tmp_path, monkeypatch, load_tool, glyph_scenes):
    monkeypatch.chdir(tmp_path)
    Path('configs').symlink_to(REPO / 'configs')
    Path('data').mkdir()
    Path('data/glyph_scenes').symlink_to(glyph_scenes)
    # A probe holds a tenth of its scenes out.
    write_scene_data(
        Path('data/digit_scenes'), DigitDataOptions(cls_train=20, cls_val=20, train=12, val=4)
    )
    write_draws(make_draws(total=13, drawn_from=12), Path('draws.json'))
    Path('board.py').write_text(BOARD)

    load_tool('analysis_tools/scoreboard.py').main(['board.py', '--rows', row, '--out', 'board'])

    results = json.loads(Path('board.json').read_text())
    found = {key: v for cell in results['cells'] for key, v in cell['metrics'].items()}
    expected = {
        metric['key'] for stage in results['stages'].values() for metric in stage['metrics']
    }
    assert found.keys() == expected and all(map(math.isfinite, found.values()))
