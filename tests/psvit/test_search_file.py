"""What a search file may say, and what of it is refused before anything is trained."""

from pathlib import Path

import pytest
from mmengine.config import Config
from search_files import REPO, changed

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
        ("baselines = [dict(name='a', config='deit.py')] * 2", r"names \['a', 'a'\]; give names"),
        ("baselines = [dict(name='searched 1', config='deit.py')]", 'none of what is searched'),
        ("baselines = [dict(name='a', config='nope.py')]", 'nope.py'),
        ("budget = dict(macs='many')", "macs 'many' is not a number"),
        ("metric = dict(kee='a')", 'kee'),
        ('budget = 50e6', 'search search.py has budget=50000000.0; give a dict'),
        ('evolution = 5', 'has evolution=5; give a dict'),
        ('supernet = dict(options=5)', 'supernet of search search.py has options=5; give a dict'),
        ("seed = 'x'", "seed 'x'"),
        ("folds = 'a'", "folds 'a'"),
        ('seed = True', 'seed True is not a whole number'),
        ("config = 'nope.py'", 'nope.py'),
        ('budget = dict(macs=(5e6, 4e6))', 'is not the least and the most; give a number, or two'),
        ('budget = dict(macs=True)', 'macs True is not a number'),
        ('baselines = 5', 'has baselines=5; give a list'),
        ('baselines = [5]', 'a baseline of search search.py is 5, and no dict'),
        ("baselines = [dict(name=5, config='deit.py')]", 'name=5; give a text'),
        ("baselines = [dict(name='a', config=5)]", 'a baseline of .* has config=5; give a text'),
        ("baselines = [dict(name='', config='deit.py')]", r"have the names \[''\]; give names"),
        (
            "baselines = [dict(name=name, config='deit.py') for name in ('a/b', 'a-b')]",
            r"have the names \['a/b', 'a-b'\]; give names that differ in letters or digits",
        ),
        ("baselines = [dict(name='Random 1', config='deit.py')]", 'none of what is searched'),
        ('space = dict(choices=5)', 'space.choices 5 are not some of'),
        ("config = ['small.py']", r"has config=\['small.py'\]; give a text"),
        ('config = None', 'has config=None; give a text'),
        ('title = 5', 'search search.py has title=5; give a text'),
        ('metric = dict(key=5)', 'metric of search search.py has key=5; give a text'),
        ('metric = dict(name=5)', 'metric of search search.py has name=5; give a text'),
        ('import nope', "imports a module that fails to import: No module named 'nope'"),
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


def test_a_search_file_without_a_base_that_imports_what_is_not_there_is_refused(search):
    # mmengine imports lazily in such a file.
    digits = (REPO / 'tools/searches/digits.py').read_text()
    Path('search.py').write_text(f'import nope\n{digits}')

    with pytest.raises(
        UserError, match='search search.py imports a module .* import nope .* line 1'
    ):
        load_search(Path('search.py'))


@pytest.mark.parametrize(
    ('options', 'named'),
    [
        ({'model.backbone.out_indices': 3}, 'out_indices says what is searched, .*: 3; leave'),
        ({'model.backbone.frozen_stages': 1}, 'frozen_stages says what is searched, .*: 1; leave'),
        ({'test_evaluator': None}, 'small.py: test_evaluator is missing'),
    ],
)
def test_a_config_that_leaves_no_schedule_to_search_is_refused(search, options, named):
    cfg = Config.fromfile('small.py')
    cfg.merge_from_dict(options)

    with pytest.raises(UserError, match=named):
        check_fit(search, build_space(search.space), cfg)


def test_a_config_of_no_classifier_is_refused(search):
    cfg = Config.fromfile(str(REPO / 'configs/digits/mask-rcnn_psvit-d8w96-144_digits-det.py'))

    with pytest.raises(UserError, match='is no config of a classifier; give one whose backbone'):
        check_fit(search, build_space(search.space), cfg)
