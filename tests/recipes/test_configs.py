"""The README's configs for a reader's own data: trained, tested and asked for a prediction."""

from pathlib import Path

import pytest
from documents import Block, find_blocks
from mmengine.config import Config
from mmengine.registry import DefaultScope
from workplace import ADDRESS, DOWNLOADED, short_options

RECIPES = [block for block in find_blocks('python') if block.text.startswith('_base_')]


def predict(config: str, checkpoint: str) -> int:
    """How many predictions the library's own inferencer makes of an image."""
    scope = Config.fromfile(config).default_scope
    DefaultScope._instance_dict.clear()
    if scope == 'mmdet':
        from mmdet.apis import DetInferencer

        return len(DetInferencer(config, checkpoint, device='cpu')('image.png')['predictions'])
    if scope == 'mmseg':
        from mmseg.apis import MMSegInferencer

        found = MMSegInferencer(config, checkpoint, device='cpu')('image.png')['predictions']
        return int(found.shape == (48, 64))
    from mmpretrain import ImageClassificationInferencer

    return len(ImageClassificationInferencer(config, checkpoint, device='cpu')('image.png'))


def test_there_is_a_recipe_for_each_kind_of_data():
    assert [name for name in ('pets', 'park') if any(name in r.text for r in RECIPES)] == [
        'pets',
        'park',
    ]


@pytest.mark.parametrize('recipe', RECIPES, ids=str)
def test_a_config_recipe_runs_from_data_to_prediction(recipe: Block, workplace, load_tool):
    config, work_dir = f'my_config_{recipe}.py', f'work_dirs/{recipe}'
    Path(config).write_text(ADDRESS.sub(DOWNLOADED, recipe.text))
    short = short_options(config)

    load_tool('train.py').main([config, '--work-dir', work_dir, *short])
    (checkpoint,) = map(str, Path(work_dir).glob('*_1.pth'))
    metrics = load_tool('test.py').main([config, checkpoint, '--work-dir', work_dir, *short])

    assert metrics
    assert predict(config, checkpoint) == 1
