"""What the config check refuses, and what it must let pass."""

import copy
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.model import PretrainedInit

from mmtoken.config_check.check import check_config, find_problems
from mmtoken.config_check.files import check_files
from mmtoken.config_check.schema import RUN_KEYS, accepted_keys
from mmtoken.errors import UserError
from mmtoken.runtime.cli import load_config

DATASET = dict(type='CustomDataset', data_root='no/data', data_prefix='train', pipeline=[])
CONFIG = dict(
    default_scope='mmpretrain',
    model=dict(
        type='ImageClassifier',
        backbone=dict(type='VisionTransformer', arch='deit-tiny', norm_cfg=dict(type='LN')),
        head=dict(type='LinearClsHead', num_classes=10, in_channels=192),
    ),
    train_dataloader=dict(
        batch_size=4,
        sampler=dict(type='DefaultSampler', shuffle=True),
        collate_fn=dict(type='default_collate'),
        dataset=DATASET,
    ),
    train_cfg=dict(by_epoch=True, max_epochs=1),
    optim_wrapper=dict(
        optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05), clip_grad=dict(max_norm=1.0)
    ),
    param_scheduler=[dict(type='LinearLR', begin=0, end=1, convert_to_iter_based=True)],
    default_hooks=dict(checkpoint=dict(type='CheckpointHook', max_keep_ckpts=2)),
    env_cfg=dict(mp_cfg=dict(mp_start_method='fork')),
    randomness=dict(seed=0),
)


def changed(key: str, value: object) -> Config:
    """The config with one value set at a dotted key; list indices are allowed."""
    content = copy.deepcopy(CONFIG)
    *parents, last = key.split('.')
    node = content
    for part in parents:
        node = node[int(part)] if isinstance(node, list) else node[part]
    node[last] = value
    return Config(content)


def write(folder: Path, text: str) -> str:
    """A config file with this text after a valid config."""
    path = folder / 'config.py'
    path.write_text('\n'.join(f'{key} = {value!r}' for key, value in CONFIG.items()) + text)
    return str(path)


def test_a_right_config_has_no_problem():
    assert list(find_problems(Config(copy.deepcopy(CONFIG)))) == []


@pytest.mark.parametrize(
    ('key', 'value', 'meant'),
    [
        ('optim_wraper', {}, 'optim_wrapper'),
        ('model.backbone.type', 'VisionTransfomer', 'VisionTransformer'),
        ('model.backbone.drop_path_rat', 0.1, 'drop_path_rate'),
        ('model.head.num_class', 3, 'num_classes'),
        ('train_dataloader.batchsize', 4, 'batch_size'),
        ('train_dataloader.dataset.dataroot', 'x', 'data_root'),
        ('train_cfg.max_epoch', 2, 'max_epochs'),
        ('optim_wrapper.clip_grads', None, 'clip_grad'),
        ('optim_wrapper.optimizer.weight_decays', 0, 'weight_decay'),
        ('param_scheduler.0.start_facter', 0.1, 'start_factor'),
        ('default_hooks.checkpoint.max_keep_ckpt', 1, 'max_keep_ckpts'),
        ('default_hooks.checkpoints', dict(type='CheckpointHook'), 'checkpoint'),
        ('env_cfg.mp_cfg.mp_start_methd', 'fork', 'mp_start_method'),
        ('randomness.seeds', 0, 'seed'),
    ],
)
def test_a_slip_is_refused_with_what_was_meant(key, value, meant):
    with pytest.raises(UserError, match=f'did you mean {meant!r}'):
        check_config(changed(key, value))


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('model.backbone.norm_cfg.requires_grad', True),
        ('model.backbone.init_cfg', dict(type='TruncNormal', layer='Linear', std=0.02)),
        (
            'model.head.init_cfg',
            dict(type='Normal', std=0.1, override=dict(type='Normal', name='fc', std=0.2)),
        ),
        (
            'model.backbone.init_cfg',
            dict(type='Pretrained', checkpoint='a.pth', prefix='backbone', allow_partial=True),
        ),
        ('default_hooks.visualization', dict(type='VisualizationHook', wait_time=1)),
        ('optim_wrapper.paramwise_cfg', dict(custom_keys={'.pos_embed': dict(decay_mult=0)})),
        ('train_dataloader.dataset.pipeline', [dict(type='LoadImageFromFile')]),
        ('train_cfg', dict(type='IterBasedTrainLoop', max_iters=3)),
        ('custom_hooks', [dict(type='EMAHook', momentum=1e-4, priority='ABOVE_NORMAL')]),
    ],
)
def test_what_builders_take_is_let_pass(key, value):
    assert list(find_problems(changed(key, value))) == []


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('model.pretrained', 'weights.pth'),
        ('model.init_cfg', dict(type='Pretrained', checkpoint='weights.pth')),
        ('model.head.init_cfg', [dict(type='Pretrained', checkpoint='weights.pth', prefix='head')]),
        ('model.init_cfg', dict(type='mmengine.Pretrained', checkpoint='weights.pth')),
        ('model.init_cfg', dict(type=PretrainedInit, checkpoint='weights.pth')),
    ],
)
def test_weights_that_may_load_in_part_are_let_pass_with_a_warning(key, value, capsys):
    check_config(changed(key, value))

    warning = capsys.readouterr().err
    assert warning.startswith(f'warning: config None: {key} loads what fits')
    assert len(warning.splitlines()) == 1


def test_weights_of_a_head_in_a_list_are_warned_of(capsys):
    init = dict(type='Pretrained', checkpoint='weights.pth')
    heads = [dict(type='LinearClsHead', num_classes=10, in_channels=192, init_cfg=init)]

    check_config(changed('model.head', heads))

    assert 'model.head.0.init_cfg loads what fits' in capsys.readouterr().err


def test_a_type_of_another_scope_is_suggested_with_its_scope():
    cfg = Config(dict(default_scope='mmdet', model=dict(type='LIFEViT')))

    with pytest.raises(UserError, match="did you mean 'mmpretrain.LIFEViT'"):
        check_config(cfg)


def test_a_variable_that_the_config_uses_is_let_pass(tmp_path):
    path = write(tmp_path, '\nseeds = 3\nrandomness = dict(seed=seeds)\n_base_ = []\n')

    check_config(load_config(path))


def test_a_setting_from_before_mmengine_is_refused_with_where_it_went(tmp_path):
    path = write(tmp_path, '\nfp16 = dict(loss_scale=512)\n_base_ = []\n')

    with pytest.raises(UserError, match="nothing reads .* 'fp16', .* or train with --amp"):
        check_config(load_config(path))


def test_a_setting_from_before_mmengine_that_sets_nothing_is_warned_of(tmp_path, capsys):
    check_config(load_config(write(tmp_path, '\nresume_from = None\n_base_ = []\n')))

    assert "nothing reads the top-level key 'resume_from'" in capsys.readouterr().err


@pytest.mark.parametrize('name', ['author', 'num_classes', 'test_pipeline', 'bgr_std'])
def test_a_variable_that_nothing_uses_is_warned_of(tmp_path, name, capsys):
    check_config(load_config(write(tmp_path, f'\n{name} = 10\n_base_ = []\n')))

    assert f'nothing reads the top-level key {name!r}' in capsys.readouterr().err


BASE = """
data_root = 'a/'
train_dataloader['dataset'] = dict(train_dataloader['dataset'], data_root=data_root)
val_dataloader = dict(dataset=dict(type='CustomDataset', data_root=data_root, pipeline=[]))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=1)
"""


def inherit(folder: Path, text: str) -> Config:
    """A config with this text over a valid one with a variable."""
    base = write(folder, BASE)
    path = folder / 'child.py'
    path.write_text(f'_base_ = {base!r}\n{text}')
    return load_config(str(path))


@pytest.mark.parametrize(
    'text',
    [
        "data_root = 'b/'",
        "data_root = 'b/'\ntrain_dataloader = dict(batch_size=2)",
        'data_root = _base_.data_root + "b/"',
        'data_root = [{{_base_.data_root}}]',
    ],
)
def test_a_variable_that_its_base_has_used_up_is_refused(tmp_path, text):
    with pytest.raises(UserError) as caught:
        check_config(inherit(tmp_path, text))

    said = str(caught.value)
    assert 'config.py has already put its own into val_dataloader.dataset.data_root, ' in said
    assert 'test_dataloader.dataset.data_root; set those (--check=warn' in said


def test_a_variable_that_is_used_up_by_the_file_between_is_refused(tmp_path):
    middle = "data_root = 'b/'\nval_dataloader = dict(dataset=dict(data_root=data_root))"
    inherit(tmp_path, middle)
    (tmp_path / 'leaf.py').write_text("_base_ = 'child.py'\ndata_root = 'c/'")

    with pytest.raises(
        UserError, match=r'child.py has already put .* val_data.*_root; set that \('
    ):
        check_config(load_config(str(tmp_path / 'leaf.py')))


@pytest.mark.parametrize(
    'text',
    [
        "data_root = 'a/'",
        "data_root = 'b/'\nload_from = data_root + 'weights.pth'",
        "data_root = 'b/'\ntrain_dataloader = dict(dataset=dict(data_root=data_root))",
        "val_dataloader = dict(dataset=dict(data_root='b/'))\ntest_dataloader = val_dataloader\n"
        "data_root = 'b/'",
        "load_from = _base_['data_root']\ndata_root = 'b/'",
        'train_cfg = dict(max_epochs=2)',
    ],
)
def test_a_variable_that_changes_something_or_nothing_wanted_is_let_pass(tmp_path, text):
    assert list(find_problems(inherit(tmp_path, text))) == []


@pytest.mark.parametrize('name', ['model.test_cfg', 'model.train_cfg'])
def test_a_key_that_is_almost_one_of_its_base_is_refused(tmp_path, name):
    key = name.partition('.')[2]
    (tmp_path / 'base.py').write_text(f'model = dict({key}=dict(rcnn=dict(score_thr=0.05)))')
    path = tmp_path / 'child.py'
    path.write_text(f"_base_ = 'base.py'\nmodel = dict({key}=dict(rcnn=dict(score_th=0.3)))")

    with pytest.raises(UserError, match=rf"{name}.rcnn .*'score_th'.* did you mean 'score_thr'"):
        check_config(load_config(str(path)))


def test_keys_that_one_file_writes_together_are_let_pass(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text('model = dict(test_cfg=dict(fg_score_thr=0.1, bg_score_thr=0.2))')

    check_config(load_config(str(path)))


def test_a_dumped_config_passes_with_its_variables(tmp_path):
    source = load_config(write(tmp_path, '\nnum_images = 77\n'))
    source.dump(tmp_path / 'dump.py')

    check_config(load_config(str(tmp_path / 'dump.py')))


def test_a_missing_part_is_named():
    with pytest.raises(UserError, match='test_dataloader is missing'):
        check_config(Config(copy.deepcopy(CONFIG)), needs=('model', 'test_dataloader'))


@pytest.mark.parametrize(
    ('option', 'said'),
    [
        ({'model.backbon.arch': 'x'}, "model has no key 'backbon'; did you mean 'backbone'"),
        ({'model.backbone.drop_path_rat': 0.1}, "did you mean 'drop_path_rate'"),
        ({'modle.type': 'x'}, "did you mean 'model'"),
        ({'model.type.name': 'x'}, "model.type is 'ImageClassifier', which has no key 'name'"),
        ({'param_scheduler.3.end': 1}, "param_scheduler is a list of 1, so '3' is no index"),
        ({'randomness.sed': 1}, "did you mean 'seed'"),
        ({'image_side': 32}, 'set model.backbone.img_size instead'),
        (
            {'model.backbone.type': 'TokenViT', 'model.backbone.window_sie': 7},
            "did you mean 'window_size'",
        ),
        ({'model.backbone.window_size': 7}, "model.backbone has no key 'window_size'"),
    ],
)
def test_an_override_out_of_place_is_refused(tmp_path, option, said):
    text = '\nimage_side = 97\nmodel["backbone"]["img_size"] = image_side\n'

    with pytest.raises(UserError) as caught:
        load_config(write(tmp_path, text), option)

    assert said in str(caught.value)


@pytest.mark.parametrize(
    'option',
    [
        {'model.backbone.drop_path_rate': 0.1},
        {'model.backbone.init_cfg.type': 'Pretrained'},
        {'param_scheduler.0.end': 5},
        {'load_from': 'x.pth'},
        {'optim_wrapper.paramwise_cfg.custom_keys': {}},
    ],
)
def test_an_override_in_place_is_merged(tmp_path, option):
    cfg = load_config(write(tmp_path, ''), option)

    node = cfg
    for part in next(iter(option)).split('.'):
        node = node[int(part)] if isinstance(node, list) else node[part]
    assert node == next(iter(option.values()))


@pytest.mark.parametrize('deleted', [{}, {'model.backbone._delete_': True}])
def test_keys_of_the_type_that_an_override_names_are_merged(tmp_path, deleted):
    options = {'model.backbone.window_size': 7, 'model.backbone.type': 'TokenViT'}

    backbone = load_config(write(tmp_path, ''), options | deleted).model.backbone

    assert (backbone.type, backbone.window_size) == ('TokenViT', 7)
    assert ('arch' in backbone) == (not deleted)


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_any_doubled_letter_in_a_key_of_the_backbone_is_refused(data):
    backbone = CONFIG['model']['backbone']
    names = accepted_keys(('model', 'backbone'), backbone, 'mmpretrain').names
    name = data.draw(st.sampled_from(sorted(name for name in names if name.isidentifier())))
    place = data.draw(st.integers(0, len(name) - 1))
    slip = name[:place] + name[place] + name[place:]
    assume(slip not in names)

    problems = list(find_problems(changed(f'model.backbone.{slip}', 1)))

    assert len(problems) == 1
    assert slip in problems[0].text


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(sorted(RUN_KEYS)), st.data())
def test_any_letter_left_out_of_a_top_level_key_is_refused(name, data):
    place = data.draw(st.integers(0, len(name) - 1))
    slip = name[:place] + name[place + 1 :]
    assume(len(name) > 5 and slip not in RUN_KEYS)

    problems = list(find_problems(changed(slip, {})))

    assert any(repr(slip) in problem.text for problem in problems)


def test_a_missing_data_folder_is_named_with_a_near_miss(tmp_path):
    (tmp_path / 'digits').mkdir()
    cfg = changed('train_dataloader.dataset.data_root', str(tmp_path / 'digit'))

    with pytest.raises(
        UserError, match=r"data_root '.*digit' does not exist; did you mean 'digits'"
    ):
        check_files(cfg, loaders=('train_dataloader',))


def test_a_missing_annotation_file_is_named(tmp_path):
    cfg = changed('train_dataloader.dataset.ann_file', 'meta.txt')
    cfg.train_dataloader.dataset.data_root = str(tmp_path)

    with pytest.raises(UserError, match=r'dataset.ann_file .*meta.txt'):
        check_files(cfg, loaders=('train_dataloader',))


def test_data_of_a_wrapped_dataset_is_looked_for():
    repeated = dict(type='RepeatDataset', times=2, dataset=DATASET)

    with pytest.raises(UserError, match='train_dataloader.dataset.dataset.data_root'):
        check_files(changed('train_dataloader.dataset', repeated), loaders=('train_dataloader',))


def test_a_dataset_that_downloads_itself_needs_no_folder():
    cifar = dict(type='CIFAR100', data_root='nowhere', split='train', pipeline=[])

    check_files(changed('train_dataloader.dataset', cifar), loaders=('train_dataloader',))


@pytest.mark.parametrize('kind', ['Pretrained', 'mmengine.Pretrained', PretrainedInit])
def test_missing_pretrained_weights_are_named_before_training(tmp_path, kind):
    cfg = changed('model.backbone.init_cfg', dict(type=kind, checkpoint='none.pth'))
    cfg.train_dataloader.dataset.data_root = str(tmp_path)
    (tmp_path / 'train').mkdir()

    with pytest.raises(UserError, match="init_cfg.checkpoint 'none.pth' does not exist"):
        check_files(cfg, loaders=('train_dataloader',))


def test_pretrained_weights_are_not_needed_again_to_resume(tmp_path):
    cfg = changed('model.backbone.init_cfg', dict(type='Pretrained', checkpoint='none.pth'))
    cfg.train_dataloader.dataset.data_root = cfg.load_from = str(tmp_path)
    cfg.resume = True
    (tmp_path / 'train').mkdir()

    check_files(cfg, loaders=('train_dataloader',))


def test_weights_on_another_machine_are_left_to_the_library():
    cfg = changed('load_from', 'https://example.com/weights.pth')

    check_files(cfg, loaders=())
