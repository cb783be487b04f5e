"""tools/analysis_tools/rollout_faithfulness.py: the files it writes."""

import json
from pathlib import Path

REPO = Path(__file__).parents[2]


def test_json_table_and_plot_are_written(load_tool, monkeypatch, tmp_path):
    tool = load_tool('analysis_tools/rollout_faithfulness.py')
    rows = [[dict(dense=0.6, ordinary=0.2, chance=0.1, prediction=0.8)]] * 3
    monkeypatch.setattr(tool, 'measure_dataset', lambda *_: rows)
    monkeypatch.setattr(tool, 'check_files', lambda *_, **__: None)
    config = REPO / 'configs' / 'digits' / 'upernet_life-d6w96_digits-seg.py'

    for name in ('UPerNet', 'Mask R-CNN'):
        tool.main([str(config), 'x.pth', '--name', name, '--out', str(tmp_path)])

    assert json.loads((tmp_path / 'mask-r-cnn.json').read_text())['shares']['dense']['mean'] == 0.6
    table = (tmp_path / 'README.md').read_text()
    assert '| UPerNet | 3 (3 of 3) | 60.0 ± 0.0 %' in table
    assert '| Mask R-CNN |' in table
    assert (tmp_path / 'faithfulness.png').stat().st_size > 1000
