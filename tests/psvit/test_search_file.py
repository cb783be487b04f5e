"""What a search file may say, and what of it is refused before anything is trained."""

from pathlib import Path

import pytest
from mmengine.config import Config
from search_files import changed

from mmtoken.errors import UserError
from mmtoken.psvit.search import build_space
from mmtoken.psvit.search.budget import scheduled_backbone
from mmtoken.psvit.search.checks import check_fit
from mmtoken.psvit.search.search_file import load_search


@pytest.mark.parametrize(
    ('text', 'named'),
    [
        ('folds = 1', 'folds 1'),
        ('budget = dict(macs=1e6, params=1e6, _delete_=True)', 'is not one of macs, params'),
        ('budget = dict(flops=1e6, _delete_=True)', 'is not one of macs, params, latency_ms'),
        ('retraining = dict(top=0)', 'retraining.top 0'),
        ('evolution = dict(populaton=3)', 'populaton'),
        ('supernet = dict(iterations=1)', 'iterations 1'),
        ('space = dict(units=2, widths=[12], num_heads=[2, 3])', 'is not as long as'),
        ('seeds = [0]', 'seeds'),
        ("baselines = [dict(name='DeiT')]", 'config'),
        ("baselines = [dict(name='a', config='deit.py')] * 2", "'a' of search .* named twice"),
        ("baselines = [dict(name='searched 1', config='deit.py')]", 'as what is searched'),
        ("baselines = [dict(name='a', config='nope.py')]", 'nope.py'),
        ("budget = dict(macs='many')", "macs 'many' is not a number"),
        ("metric = dict(kee='a')", 'kee'),
        ('budget = 50e6', 'budget 50000000.0 of search .* is no dict'),
        ('evolution = 5', 'evolution 5 of search .* is no dict'),
        ('supernet = dict(options=5)', 'options 5 of search .* is no dict'),
        ("seed = 'x'", "seed 'x'"),
        ("folds = 'a'", "folds 'a'"),
        ("config = 'nope.py'", 'nope.py'),
        ('budget = dict(macs=(5e6, 4e6))', 'is not the least and the most; give a number, or two'),
        ('budget = dict(macs=(5e6,))', 'is not the least and the most'),
    ],
)  # fmt: skip
def test_search_files_without_meaning_are_refused(search, text, named):
    with pytest.raises(UserError, match=named):
        changed(text)


@pytest.mark.parametrize(
    ('space', 'metric', 'named'),
    [
        (dict(widths=[12, 36]), {}, 'set in_channels=36 in the config of head'),
        (dict(num_heads=[2, 5]), {}, 'embed_dims 24 is not a multiple of num_heads 5'),
        ({}, dict(key='loss'), "metric.key 'loss' is none that .* measures; .* accuracy/top1"),
    ],
)
def test_what_would_fail_later_fails_before_anything_is_trained(search, space, metric, named):
    search.metric.update(metric)
    cfg = Config.fromfile('small.py')

    with pytest.raises(UserError, match=named):
        check_fit(search, build_space(dict(search.space, **space)), cfg)
    check_fit(load_search(Path('search.py')), build_space(search.space), cfg)


def test_a_config_of_another_backbone_is_refused(search):
    with pytest.raises(UserError, match="backbone of the config is TokenViT: set type='PSViT'"):
        scheduled_backbone(Config.fromfile('deit.py').model.backbone, [])
