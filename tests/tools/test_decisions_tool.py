"""tools/visualization/decisions.py on tiny digits, with masks and without."""

from pathlib import Path

import pytest
import torch
from label_stores import write_label_store
from mmengine.config import Config
from mmpretrain.registry import DATASETS, MODELS

REPO = Path(__file__).parents[2]


@pytest.fixture
def tool(load_tool):
    """The tool."""
    return load_tool('visualization/decisions.py')


@pytest.fixture
def config(digit_scenes, tmp_path):
    """A function that writes a tiny config over the tiny digit scenes, and a checkpoint of it."""

    def write(name):
        cfg = Config.fromfile(REPO / f'configs/digits/{name}-deit-d6w96_digits-cls.py')
        cfg.model.backbone.arch.update(embed_dims=24, num_layers=2, feedforward_channels=24)
        cfg.model.head.in_channels = 24
        cfg.load_from = None
        for phase in ('train', 'val', 'test'):
            cfg[f'{phase}_dataloader'].dataset.data_root = f'{digit_scenes}/classification/'
        cfg.train_dataloader.batch_size = 8
        cfg.dump(tmp_path / f'{name}.py')
        torch.manual_seed(0)
        model = MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))
        torch.save({'state_dict': model.state_dict()}, tmp_path / 'weights.pth')
        return tmp_path / f'{name}.py', tmp_path / 'weights.pth'

    return write


def draw(tool, *words):
    tool.main([str(word) for word in words])


def test_decisions_of_two_checkpoints_are_drawn(tool, config, tmp_path, capsys):
    path, weights = config('auto-calibrated')
    options = ['--cfg-options', 'model.foreground.confidence=0.0', 'model.foreground.mass=0.1']
    words = ['--out', tmp_path / 'out/decisions.png', '--number', 20, '--shown', 4]
    draw(tool, path, f'before={weights}', f'after={weights}', *words, *options)

    before, after = (line for line in capsys.readouterr().out.splitlines() if '% right' in line)
    assert before.removeprefix('before') == after.removeprefix('after')
    assert '% of the relevance' in before
    assert (tmp_path / 'out/decisions.png').stat().st_size > 20_000


def test_masks_are_those_that_training_has(tool, config, digit_scenes, tmp_path, capsys):
    path, weights = config('calibrated')
    images = digit_scenes / 'classification/train'
    names = [path.relative_to(images).as_posix() for path in images.rglob('*.png')]
    write_label_store(tmp_path / 'store', names, 11, 'share')
    step = 'train_dataloader.dataset.pipeline.1'
    options = [f'{step}.store={tmp_path / "store"}', f'{step}.images={images}']
    draw(tool, path, f'now={weights}', '--out', tmp_path / 'now.png', '--number', 8,
         '--cfg-options', *options)  # fmt: skip

    assert 'unknown' not in capsys.readouterr().out


def test_images_of_classes_that_take_turns_are_drawn_of_all_of_them(tool, config):
    cfg = Config.fromfile(config('auto-calibrated')[0])
    labels = DATASETS.build(cfg.train_dataloader.dataset).get_gt_labels()
    assert labels.tolist() == [index % 10 for index in range(len(labels))]

    chosen = tool.tested_images(cfg, len(labels) // 2).dataset

    assert len({*chosen.indices}) == len(labels) // 2
    assert {labels[index] % 2 for index in chosen.indices} == {0, 1}


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['before'], 'before: give each checkpoint a name of its own'),
        (['a=x', 'a=y'], 'a=x a=y: give each checkpoint a name'),
        (['a=x', '--number', 0], '--number 0 asks for no image'),
        (['a=x', '--shown', 0], '--shown 0 asks for no image'),
    ],
)
def test_what_draws_nothing_is_refused(tool, config, capsys, words, message):
    with pytest.raises(SystemExit, match='2'):
        draw(tool, config('auto-calibrated')[0], *words)
    assert f'error: {message}' in capsys.readouterr().err


def test_a_config_without_a_foreground_is_refused(tool, config, capsys):
    path, weights = config('auto-calibrated')
    cfg = Config.fromfile(path)
    del cfg.model.calibration.token
    cfg.model.foreground = None
    cfg.custom_hooks[0].stages = [dict(losses=['dimension'])]
    cfg.dump(path)
    with pytest.raises(SystemExit, match='2'):
        draw(tool, path, f'a={weights}')
    assert 'CalibratedClassifier without a foreground to hold' in capsys.readouterr().err
