"""The command in the docstring of every leaf config, with one process and for one step."""

import ast
import re
from pathlib import Path

import pytest
import torch
from documents import ROOT
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from workplace import run_command

LEAVES = sorted(p for p in (ROOT / 'configs').rglob('*.py') if '_base_' not in p.parts)
COMMAND = re.compile(r'(?:python|bash) tools/(?:dist_)?train\.(?:py|sh) (configs/\S+)')


def provide_weights(config: str) -> None:
    """Save random weights where a config takes those of another one from."""
    init = Config.fromfile(config).model.backbone.get('init_cfg') or {}
    # Those of small classifiers are lists, and draw weights.
    checkpoint = init.get('checkpoint') if isinstance(init, dict) else None
    if checkpoint and not Path(checkpoint).exists():
        (source,) = Path('configs').rglob(f'{Path(checkpoint).parent.name}.py')
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            model = MODELS.build(Config.fromfile(source).model)
        Path(checkpoint).parent.mkdir(parents=True, exist_ok=True)
        torch.save({'state_dict': model.state_dict()}, checkpoint)


@pytest.mark.long
@pytest.mark.parametrize('leaf', LEAVES, ids=lambda path: path.stem)
def test_the_command_of_a_leaf_config_trains(
    leaf, workplace, digit_scenes, glyph_scenes, load_tool
):
    for scenes in (digit_scenes, glyph_scenes):
        if not Path('data', scenes.name).exists():
            Path('data', scenes.name).symlink_to(scenes)
    (config,) = COMMAND.findall(ast.get_docstring(ast.parse(leaf.read_text())))
    provide_weights(config)

    run_command(f'python tools/train.py {config}', load_tool)

    assert list(Path('work_dirs', leaf.stem).glob('*_1.pth'))
