"""Values that a run cannot use."""

import pytest
from small_configs import small_config

from mmtoken.config_check.trial import check_loaders, own_part_problems, schedule_problems
from mmtoken.config_check.values import value_problems
from mmtoken.config_check.words import word_problems
from mmtoken.errors import UserError


def first(find, scope='mmpretrain', **changes):
    found = list(find(small_config(scope, changes).to_dict(), scope))
    return found[0].text if found and found[0].certain else found


@pytest.mark.parametrize(
    ('key', 'value'),
    [
        ('env_cfg', 'gloo'),
        ('model', ['ImageClassifier']),
        ('optim_wrapper.optimizer', 'AdamW'),
        ('train_dataloader.batch_size', 0),
        ('val_dataloader.batch_size', 1.5),
        ('train_dataloader.num_workers', -1),
        ('train_dataloader.prefetch_factor', 0),
        ('train_dataloader.dataset.indices', 0),
        ('train_dataloader.dataset.indices', []),
        ('train_dataloader.dataset.indices', 'all'),
        ('train_dataloader.sampler', 'DefaultSampler'),
        ('param_scheduler', dict(type='StepLR', step_size=0)),
        ('param_scheduler', [dict(type='CosineAnnealingLR', T_max=0)]),
        ('param_scheduler', [dict(type='MultiStepLR', milestones=[8, 'a'])]),
        ('param_scheduler', [dict(type='MultiStepLR', milestones=[-0.5])]),
        ('train_cfg.max_epochs', -3),
        ('train_cfg.max_epochs', '12'),
        ('train_cfg.max_iters', 0),
        ('train_cfg.val_interval', 0),
        ('auto_scale_lr.base_batch_size', 0),
        ('randomness.seed', -1),
        ('load_from', -3),
        ('custom_hooks', 3),
        ('custom_hooks', ['EMAHook']),
        ('param_scheduler', 0.37),
        ('param_scheduler', [[dict(type='LinearLR')]]),
        ('val_evaluator', [[1, 'a']]),
        ('val_dataloader.dataset.pipeline', 'LoadImageFromFile'),
        ('optim_wrapper.optimizer.lr', 'abc'),
        ('optim_wrapper.optimizer.lr', -0.1),
        ('optim_wrapper.optimizer.lr', float('nan')),
        ('optim_wrapper.optimizer.weight_decay', -1),
        ('optim_wrapper.accumulative_counts', 0),
        ('optim_wrapper.clip_grad.max_norm', -1),
        ('optim_wrapper.paramwise_cfg.custom_keys', {'head': dict(lr_mult='x')}),
        ('model.backbone.init_cfg', [dict(type='Constant'), 3]),
        ('model.backbone.patch_size', 0),
        ('model.backbone.img_size', -5),
        ('model.backbone.img_size', (224, 0)),
        ('model.backbone.arch.num_heads', 0),
        ('model.backbone.arch.embed_dims', 96.0),
        ('model.backbone.window_size', 7.0),
        ('model.backbone.drop_path_rate', 1.0),
        ('model.backbone.drop_rate', -0.1),
        ('model.backbone.attn_drop_rate', '0.1'),
        ('model.head.in_channels', 0),
    ],
)  # fmt: skip
def test_a_value_without_meaning_is_named(key, value):
    said = first(value_problems, **{key: value})

    assert said.startswith(key)
    assert ' is not a ' in said or ' leaves no sample' in said


def test_randomness_without_a_seed_is_refused():
    said = first(value_problems, randomness=dict(deterministic=True))

    assert said == 'randomness has no seed; add seed=0, or seed=None for one that is drawn'


@pytest.mark.parametrize(
    ('key', 'value', 'named'),
    [
        (
            'val_evaluator', dict(type='IoUMetric', iou_metrics=['mIoU', 'mIoUU']),
            "val_evaluator.iou_metrics 'mIoUU' is none of mIoU, mDice, mFscore",
        ),
        ('model.test_cfg.mode', 'wholee', "model.test_cfg.mode 'wholee' is none of whole, slide,"),
    ],
)  # fmt: skip
def test_what_mmseg_has_no_name_for_is_refused(key, value, named):
    assert first(word_problems, 'mmseg', **{key: value}).startswith(named)


def test_the_words_of_other_projects_classes_are_theirs():
    changes = {'model.type': 'mmpretrain.ImageClassifier', 'model.test_cfg.mode': 'mine'}

    assert not first(word_problems, 'mmseg', **changes)


@pytest.mark.parametrize('level', [0.37, 'LOUD', 'info'])
def test_a_level_that_logging_does_not_know_is_refused(level):
    said = first(value_problems, log_level=level)

    assert said == f"log_level {level!r} is no level of logging; write for example 'INFO'"


@pytest.mark.parametrize('key', ['num_layers', 'depths', 'num_shared_convs', 'stacked_convs'])
def test_a_model_that_would_be_built_for_hours_is_refused(key):
    said = first(value_problems, **{f'model.backbone.arch.{key}': [2, 10**9]})

    assert said == f'model.backbone.arch.{key} 1000000000 is more than 1000; use a smaller number'


def test_a_data_loader_without_data_is_refused():
    said = first(value_problems, train_dataloader={})

    assert said == 'train_dataloader has no dataset; add one, or set train_dataloader=None'


def test_a_seed_that_is_drawn_and_parts_that_are_built_are_let_pass():
    built = [dict(type='PackInputs'), print]

    changes = {'randomness': dict(seed=None), 'train_dataloader.dataset.pipeline': built}
    assert first(value_problems, **changes) == []


@pytest.mark.parametrize(
    ('scope', 'key', 'value'),
    [
        ('mmpretrain', 'log_level', 'WARNING'),
        ('mmpretrain', 'log_level', 10),
        ('mmpretrain', 'train_dataloader.num_workers', 0),
        ('mmpretrain', 'train_dataloader.dataset.indices', -5),
        ('mmpretrain', 'train_dataloader.dataset.indices', [0, 3]),
        ('mmpretrain', 'train_dataloader.dataset.indices', None),
        ('mmpretrain', 'optim_wrapper.optimizer.lr', 0),
        ('mmpretrain', 'optim_wrapper.clip_grad.max_norm', float('inf')),
        ('mmpretrain', 'model.backbone.img_size', (224, 96)),
        ('mmpretrain', 'model.backbone.window_size', 0),
        ('mmpretrain', 'model.neck', dict(num_heads=[[2], [2, 4]], dropout=dict(p=0.1))),
        ('mmpretrain', 'model.neck', dict(in_channels=[None, 64], drop_path_rate=[0, 0.1])),
        ('mmpretrain', 'model.backbone.drop_path_rate', 0),
        ('mmpretrain', 'train_cfg.val_interval', 57300.0),
        ('mmpretrain', 'param_scheduler', dict(type='CosineAnnealingLR', T_max=150.0)),
        ('mmpretrain', 'param_scheduler', [dict(type='MultiStepLR', milestones=[0.5, 8.0])]),
        ('mmpretrain', 'randomness.seed', None),
        ('mmseg', 'model.decode_head.dropout_ratio', -1),
        ('mmdet', 'model.backbone', dict(type='SwinTransformer', window_size=7, num_heads=[3, 6])),
    ],
)
def test_a_value_that_works_is_let_pass(scope, key, value):
    assert first(value_problems, scope, **{key: value}) == []


@pytest.mark.parametrize(
    ('key', 'value', 'said'),
    [
        ('param_scheduler.0.start_factor', 'x', "start_factor 'x' is not a number"),
        ('model.backbone.frozen_stages', dict(a=1), "frozen_stages {'a': 1} is not a number"),
        ('model.backbone.with_cp', 'False', "with_cp 'False' is a text, and any text counts as"),
    ],
)
def test_a_value_is_held_against_the_annotation_of_its_argument(key, value, said):
    assert said in first(value_problems, **{key: value})


@pytest.mark.parametrize(
    ('key', 'value', 'said'),
    [
        ('optim_wrapper.optimizer.betas', (0.9, 1.5), 'AdamW refuses its arguments: Invalid beta'),
        ('param_scheduler.0.start_factor', 2.0, 'LinearLR refuses its arguments'),
        ('param_scheduler.0.begin', 9, 'LinearLR refuses its arguments'),
        (
            'optim_wrapper',
            dict(optimizer=dict(type='SGD', lr=0.1), paramwise_cfg=dict(norm_decay_mult=0)),
            'base_wd should not be None',
        ),
        (
            'optim_wrapper',
            dict(
                optimizer=dict(type='AdamW', lr=0.1),
                constructor='TokenViTLayerDecayConstructor',
                paramwise_cfg=dict(layer_decay_rate=1.5),
            ),
            'layer_decay_rate in (0, 1]',
        ),
    ],
)
def test_what_an_optimizer_or_a_schedule_refuses_is_found_by_trying(key, value, said):
    assert said in first(schedule_problems, **{key: value})


def test_a_schedule_that_starts_after_the_last_epoch_is_found():
    scheduler = [dict(type='CosineAnnealingLR', begin=5)]

    assert 'end should be larger than begin' in first(schedule_problems, param_scheduler=scheduler)


@pytest.mark.parametrize(
    ('scope', 'key', 'value', 'said'),
    [
        ('mmpretrain', 'model.backbone.arch.embed_dims', 25, 'backbone: embed_dims 25 is not'),
        ('mmdet', 'model.backbone.out_indices', 9, 'model.backbone: out_indices (9,) is not'),
        (
            'mmseg',
            'model.neck',
            dict(type='mmpretrain.SimpleFeaturePyramid', in_channels=24, out_channels=8,
                 patch_size=8, strides=(3,)),
            'model.neck: strides (3,) must each be',
        ),
    ],
)  # fmt: skip
def test_what_our_own_parts_refuse_is_found_by_trying(scope, key, value, said):
    assert said in first(own_part_problems, scope, **{key: value})


def test_what_holds_a_refused_part_is_not_blamed_for_it():
    changes = {'model.type': 'TLAlignClassifier', 'model.backbone.out_indices': 9}

    found = list(own_part_problems(small_config('mmpretrain', changes).to_dict(), 'mmpretrain'))

    assert [problem.text.partition(':')[0] for problem in found] == ['model.backbone']


def test_what_our_parts_cannot_work_with_is_refused_before_they_are_needed():
    changes = {'model.type': 'TLAlignClassifier', 'model.mix': dict(alpha='x')}

    found = list(own_part_problems(small_config('mmpretrain', changes).to_dict(), 'mmpretrain'))

    assert ['TLAlignClassifier refuses its arguments' in problem.text for problem in found] == [
        True
    ]


def test_a_data_loader_without_a_sampler_is_refused():
    cfg = small_config('mmpretrain', {'train_dataloader.sampler': ...})

    with pytest.raises(UserError, match=r'train_dataloader has no sampler, .* shuffle=True\)'):
        check_loaders(cfg, ['train_dataloader'])
    check_loaders(cfg, ['val_dataloader'])


def test_workers_that_persist_and_are_not_there_are_refused():
    workers = dict(num_workers=0, persistent_workers=True)
    cfg = small_config('mmpretrain', {f'train_dataloader.{key}': workers[key] for key in workers})

    with pytest.raises(UserError, match='set train_dataloader.persistent_workers=False'):
        check_loaders(cfg, ['train_dataloader', 'val_dataloader'])
