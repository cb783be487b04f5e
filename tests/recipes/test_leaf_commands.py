"""The command in the docstring of every leaf config, with one process and for one step, and those
that make the label maps which some of them need.
"""

import ast
import re
from pathlib import Path

import pytest
import torch
from documents import ROOT
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from workplace import run_command, write_released

from mmtoken.datasets import LabelStore

LEAVES = sorted(p for p in (ROOT / 'configs').rglob('*.py') if '_base_' not in p.parts)
LABELED = sorted((ROOT / 'configs/_base_/datasets').glob('*_token-labels*.py'))
COMMAND = re.compile(r'(?:python|bash) tools/(?:dist_)?train\.(?:py|sh) (configs/\S+)')


def convert_command(leaf: Path) -> str | None:
    """The command with which the weights that a leaf config needs are made, if they are others'."""
    text = re.sub(r' \\\n +', ' ', ast.get_docstring(ast.parse(leaf.read_text())))
    found = re.findall(r'^ *(python tools/model_converters/convert.py .*)$', text, re.MULTILINE)
    return found[0] if found else None


# Each with the first leaf config that says it; of a large model, they are long.
CONVERTED = {command: leaf for leaf in reversed(LEAVES) if (command := convert_command(leaf))}
CONVERTING = [
    pytest.param(command, leaf, marks=[pytest.mark.long] if 'vitb' in command else [], id=leaf.stem)
    for command, leaf in CONVERTED.items()
]


def provide_weights(config: str) -> None:
    """Save random weights where a config takes those of another one from."""
    cfg = Config.fromfile(config)
    init = cfg.model.backbone.get('init_cfg') or {}
    # Those of small classifiers are lists, and draw weights.
    checkpoint = cfg.get('load_from') or (
        init.get('checkpoint') if isinstance(init, dict) else None
    )
    # Files beside the configs' folder are public weights, which every command gets.
    if not checkpoint or Path(checkpoint).exists() or Path(checkpoint).name == checkpoint:
        return
    (source,) = Path('configs').rglob(f'{Path(checkpoint).parent.name}.py')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(Config.fromfile(source).model)
    Path(checkpoint).parent.mkdir(parents=True, exist_ok=True)
    torch.save({'state_dict': model.state_dict()}, checkpoint)


def label_command(base: Path) -> str:
    """The command with which a data set's config makes its label maps."""
    text = re.sub(r' \\\n# *', ' ', base.read_text())
    (command,) = re.findall(r'^# *(python tools/\S*make_token_labels.py .*)$', text, re.MULTILINE)
    return command


def provide_labels(config: str, load_tool) -> None:
    """Make the label maps that a config trains with, as its data set's config says."""
    for step in Config.fromfile(config).train_dataloader.dataset.get('pipeline') or []:
        if step.type == 'LoadTokenLabels' and not Path(step.store).exists():
            (command,) = {c for c in map(label_command, LABELED) if f'--out {step.store}' in c}
            run_command(command, load_tool)


def provide_scenes(*scenes: Path) -> None:
    """Link data sets of scenes where configs expect them."""
    for folder in scenes:
        if not Path('data', folder.name).exists():
            Path('data', folder.name).symlink_to(folder)


@pytest.mark.parametrize('base', LABELED, ids=lambda path: path.stem)
def test_the_command_of_a_data_set_makes_the_label_maps_that_it_loads(
    base, workplace, digit_scenes, glyph_scenes, load_tool
):
    provide_scenes(digit_scenes, glyph_scenes)
    (step,) = [s for s in Config.fromfile(base).train_pipeline if s.type == 'LoadTokenLabels']

    run_command(label_command(base), load_tool)

    assert LabelStore(step.store).manifest.classes == step.num_classes


@pytest.mark.parametrize(('command', 'leaf'), CONVERTING)
def test_the_weights_of_a_leaf_config_are_made_by_its_command(
    command, leaf, workplace, load_tool, run_log
):
    backbone = Config.fromfile(leaf).model.backbone
    source = next(word for word in command.split() if word.endswith('.pth'))
    released = write_released(Path(source), {**backbone, 'type': 'TokenViT'})
    Path(backbone.init_cfg.checkpoint).unlink(missing_ok=True)

    run_command(command, load_tool)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        built = MODELS.build(backbone)
    built.init_weights()

    torch.testing.assert_close(built.state_dict(), released.state_dict(), rtol=0, atol=0)
    assert not any('features differ' in line for _, line in run_log)


@pytest.mark.long
@pytest.mark.parametrize('leaf', LEAVES, ids=lambda path: path.stem)
def test_the_command_of_a_leaf_config_trains(
    leaf, workplace, digit_scenes, glyph_scenes, load_tool
):
    provide_scenes(digit_scenes, glyph_scenes)
    (config,) = COMMAND.findall(ast.get_docstring(ast.parse(leaf.read_text())))
    provide_weights(config)
    provide_labels(config, load_tool)

    run_command(f'python tools/train.py {config}', load_tool)

    assert list(Path('work_dirs', leaf.stem).glob('*_1.pth'))
