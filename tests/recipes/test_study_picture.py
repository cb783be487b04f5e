"""The picture that a study's docstring draws, of weights that were not trained."""

import ast
import re
from pathlib import Path

import torch
from documents import ROOT
from label_stores import write_label_store
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from workplace import run_command

from mmtoken.datasets import DigitDataOptions, write_scene_data

STUDY = ROOT / 'tools/analysis_tools/studies/calibration.py'


def test_what_decisions_rest_on_is_drawn_as_the_study_says(tmp_path, monkeypatch, load_tool):
    monkeypatch.chdir(tmp_path)
    for name in ('tools', 'configs'):
        Path(name).symlink_to(ROOT / name)
    text = re.sub(r' \\\n +', ' ', ast.get_docstring(ast.parse(STUDY.read_text())))
    (command,) = re.findall(r'^    (python tools/visualization/decisions.py .*)$', text, re.M)
    scenes = Path('data/digit_scenes_ground')
    options = DigitDataOptions(cls_train=20, cls_val=10, train=1, val=1, shortcut='ground')
    write_scene_data(scenes, options)
    images = scenes / 'classification/train'
    names = [file.relative_to(images).as_posix() for file in images.rglob('*.png')]
    write_label_store(scenes / 'classification/token_labels', names, 11, 'share')
    cfg = Config.fromfile('configs/digits/calibrated-life-d6w96_digits-cls.py')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
    for weights in re.findall(r'=(work_dirs/\S+)', command):
        Path(weights).parent.mkdir(parents=True)
        torch.save({'state_dict': model.state_dict()}, weights)

    Path('docs').mkdir()
    run_command(command, load_tool)

    assert Path('docs/calibration.png').stat().st_size > 20_000
