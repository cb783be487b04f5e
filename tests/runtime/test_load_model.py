"""A model comes with the names of its classes, from the config or from the type of its data."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from small_models import shrink_model

from mmtoken.runtime.load_model import load_model

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.mark.parametrize(
    ('leaf', 'first', 'count'),
    [
        ('deit/deit-tiny_8xb64_in1k.py', 'tench, Tinca tinca', 1000),
        ('deit/mask-rcnn_deit-tiny_sfp_1x_coco.py', 'person', 80),
        ('deit/deit-tiny_upernet_8xb2-160k_ade20k-512x512.py', 'wall', 150),
        ('digits/deit-d6w96_digits-cls.py', '0', 10),
    ],
)
def test_class_names_are_those_of_the_data(leaf, first, count, tmp_path):
    cfg = Config.fromfile(CONFIGS / leaf)
    if 'digits' not in leaf:
        shrink_model(cfg)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        torch.save(MODELS.build(cfg.model).state_dict(), tmp_path / 'random.pth')

    names = load_model(cfg, str(tmp_path / 'random.pth')).dataset_meta['classes']

    assert len(names) == count
    assert names[0] == first
