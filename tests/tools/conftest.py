"""What tests of one tool share: roll-outs of a small model of each kind, and a study's runs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from PIL import Image
from rollout_pages import config_of
from scoreboard_files import ran, write_board, write_scoreboard_tools
from study_files import write_study, write_tools

from mmtoken.experiments import study_tasks
from mmtoken.tasks import launch

OPTIONS = ['--cfg-options', 'model.backbone.init_cfg=None']


@pytest.fixture(scope='session')
def scenes(tmp_path_factory):
    """Two images: one of the models' size, and one that is not square."""
    folder = tmp_path_factory.mktemp('scenes')
    for name, shape in (('scene', (128, 128, 3)), ('wide', (96, 128, 3))):
        pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f'{name}.png')
    return folder


@pytest.fixture(scope='session')
def rolled_out(load_tool, scenes, tmp_path_factory):
    """A function that runs the tool once a kind of model, on random weights."""
    folders = {}

    def run(kind):
        if kind not in folders:
            out = folders[kind] = tmp_path_factory.mktemp(kind)
            config = config_of(kind)
            checkpoint = save_random_weights(config, out / 'random.pth')
            images = [str(scenes / 'scene.png'), str(scenes / 'wide.png')]
            words = [str(config), str(checkpoint), *images, '--out', str(out), *OPTIONS]
            load_tool('visualization/dense_rollout.py').main([*words, *extra(kind)])
        return folders[kind]

    return run


def extra(kind):
    return ['model.test_cfg.rcnn.max_per_img=4', '--score-threshold', '0'] * (kind == 'detector')


def save_random_weights(config, path):
    cfg = Config.fromfile(config)
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    for layer in model.backbone.layers:
        for parameter in layer.attn.qkv.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    torch.save({'state_dict': model.state_dict()}, path)
    return path


def stand_in_for_checkpoints(monkeypatch):
    """Take the texts that stand-ins for tools/train.py write for checkpoints."""
    monkeypatch.setattr(study_tasks, 'export_weights', shutil.copyfile)
    monkeypatch.setattr(study_tasks, 'trained_iterations', lambda path: int(path.read_text()))
    monkeypatch.setattr(launch, 'POLL_SECONDS', 0.01)


@pytest.fixture
def run_study(load_tool, tmp_path, monkeypatch):
    """A function that runs the study in a folder of its own, through stand-ins for tools/train.py
    and tools/test.py, and returns its merged results.
    """
    study = load_tool('analysis_tools/study.py')
    monkeypatch.chdir(tmp_path)
    write_study()
    write_tools()
    monkeypatch.setattr(study, 'TOOLS', tmp_path)
    stand_in_for_checkpoints(monkeypatch)

    def run(*flags: str) -> dict:
        study.main(['depth.py', '--out', 'out', '--work-dir', 'work/depth', *flags])
        return json.loads(Path('out/results.json').read_text())

    return run


@pytest.fixture
def run_board(load_tool, tmp_path, monkeypatch):
    """A function that fills a scoreboard in a folder of its own, through stand-ins for the tools
    that it runs, and returns what was run.
    """
    tool = load_tool('analysis_tools/scoreboard.py')
    monkeypatch.chdir(tmp_path)
    write_board()
    write_scoreboard_tools()
    monkeypatch.setattr(tool, 'TOOLS', tmp_path)
    stand_in_for_checkpoints(monkeypatch)

    def run(*flags: str) -> list[str]:
        tool.main(['board.py', '--out', 'out/board', '--work-dir', 'work/board', *flags])
        return ran()

    return run
