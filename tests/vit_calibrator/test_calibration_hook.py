"""Stages begin when they should, and a resumed run goes on with its own."""

import copy
import json
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmpretrain.registry import HOOKS, MODELS

from mmtoken.errors import UserError
from mmtoken.vit_calibrator import calibration_hook
from mmtoken.vit_calibrator.class_report import _first

REPO = Path(__file__).parents[2]


def config(tmp_path, root, name='calibrated-deit-d6w96', **options) -> Config:
    """A tiny calibration of tiny data."""
    cfg = Config.fromfile(REPO / f'configs/digits/{name}_digits-cls.py')
    cfg.model.backbone.arch.update(embed_dims=24, num_layers=2, feedforward_channels=24)
    cfg.model.head.in_channels = 24
    cfg.load_from = None
    for loader in ('train', 'val', 'test'):
        part = cfg[f'{loader}_dataloader']
        part.update(num_workers=0, persistent_workers=False, batch_size=8)
        part.dataset.data_root = str(root / 'classification')
    cfg.work_dir = str(tmp_path / 'run')
    cfg.train_cfg.update(max_epochs=4, val_interval=4)
    cfg.param_scheduler[0].end = 4
    cfg.custom_hooks[0].update(
        stages=[dict(losses=['token']), dict(begin=2, losses=['dimension'])], fewest=1, samples=3
    )
    cfg.experiment_name = tmp_path.name
    cfg.default_hooks.logger.interval = 1
    cfg.default_hooks.checkpoint.max_keep_ckpts = 9
    cfg.merge_from_dict(options)
    return cfg


@pytest.fixture
def automatic(tmp_path, digit_scenes):
    """A config that finds the foreground itself, with a loss in each stage that has something to
    learn from untrained weights.
    """
    options = {
        'model.foreground': dict(type='AutomaticForeground', mass=0.2, dilation=1, confidence=0.0)
    }
    return config(tmp_path, digit_scenes, 'auto-calibrated-deit-d6w96', **options)


def make_plain(cfg):
    """Make an ordinary classifier of a calibrated one."""
    cfg.model.type, cfg.custom_hooks = 'ImageClassifier', []
    del cfg.model.calibration, cfg.model.foreground


def train(cfg):
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def log_of(cfg):
    """The lines of a run's log."""
    (file,) = Path(cfg.work_dir).glob('*/*.log')
    return file.read_text().splitlines()


def weights(path):
    return torch.load(path, weights_only=False)['state_dict']


def test_stages_begin_with_their_epochs(automatic):
    runner = train(automatic)

    lines = log_of(automatic)
    text = '\n'.join(lines)
    begins = re.findall(r'calibration stage (\d) of 2 begins with epoch (\d); .*: (\w+)', text)
    assert begins == [('1', '0', 'token'), ('2', '2', 'dimension')]
    logged = [line for line in lines if 'Epoch(train)' in line]
    assert len(logged) == 20
    assert all('loss_token' in line and 'loss_dimension' not in line for line in logged[:10])
    assert all('loss_dimension' in line and 'loss_token' not in line for line in logged[10:])
    assert re.search(r'dimension, layer 1: classes rest on \d+ to \d+ of 24 dimensions', text)
    assert not any('rule' in name or 'frozen' in name for name in runner.model.state_dict())


def test_a_resumed_run_ends_as_the_uninterrupted_one(automatic, tmp_path):
    # Without chance, whose state mmengine's checkpoints do not have.
    automatic.train_dataloader.dataset.pipeline = automatic.test_dataloader.dataset.pipeline
    train(automatic)
    expected = weights(tmp_path / 'run/epoch_4.pth')

    for epoch in (1, 3):
        resumed = copy.deepcopy(automatic)
        resumed.work_dir = str(tmp_path / f'resumed{epoch}')
        resumed.experiment_name = f'{tmp_path.name}{epoch}'
        resumed.load_from, resumed.resume = str(tmp_path / f'run/epoch_{epoch}.pth'), True
        train(resumed)
        found = weights(tmp_path / f'resumed{epoch}/epoch_4.pth')
        assert all(torch.equal(found[name], value) for name, value in expected.items())
        # What the stage before had logged is missed by nobody.
        assert not any('is not defined in message_hub' in line for line in log_of(resumed))


def test_a_late_calibration_looks_where_the_trained_model_does(automatic, tmp_path):
    automatic.custom_hooks[0].stages = [dict(begin=2, losses=['token'])]
    train(automatic)

    before = torch.load(tmp_path / 'run/epoch_1.pth', weights_only=False)
    after = torch.load(tmp_path / 'run/epoch_4.pth', weights_only=False)
    assert before['calibration']['frozen'] is None
    frozen, trained = after['calibration']['frozen'], weights(tmp_path / 'run/epoch_2.pth')
    assert frozen.keys() == trained.keys()
    assert all(torch.equal(frozen[name], value) for name, value in trained.items())


def test_classes_without_enough_correct_images_are_left_uncalibrated_and_listed(
    tmp_path, digit_scenes
):
    options = {'custom_hooks.0.stages': [dict(losses=['dimension'])], 'custom_hooks.0.fewest': 3,
               'train_cfg.max_epochs': 1}  # fmt: skip
    cfg = config(tmp_path, digit_scenes, 'auto-calibrated-deit-d6w96', **options)
    runner = train(cfg)

    (warning,) = [line for line in log_of(cfg) if 'WARNING' in line and 'uncalibrated' in line]
    count, named = re.search(r'(\d+) of 10 classes have fewer than 3 .*: (.*)', warning).groups()
    without = [int(name) for name in named.split(', ')]
    assert len(without) == int(count) > 0
    rules = runner.model.calibration['dimension'].rules(1)
    assert rules.all(1).nonzero().flatten().tolist() == without
    listed = json.loads((tmp_path / 'run/calibration/classes.json').read_text())
    assert listed['uncalibrated'] == [str(label) for label in without]
    kept = [None if label in without else int(rules[label].sum()) for label in range(10)]
    assert listed['dimensions'] == {'dimension': {'1': kept}}


def test_many_classes_are_in_the_file_and_the_line_says_so():
    assert _first([*range(20)]).endswith(', 19')
    assert _first([*range(21)]).endswith(', 19, …: all are in calibration/classes.json')


def test_a_loss_that_acts_on_no_image_is_told_once(automatic, monkeypatch):
    monkeypatch.setattr(calibration_hook, 'PATIENCE', 2)
    automatic.model.foreground.confidence = 0.999
    train(automatic)

    told = [line for line in log_of(automatic) if 'has acted on no image' in line]
    assert len(told) == 1 and 'WARNING' in told[0]
    assert 'calibration.token has acted on no image in 2 steps of stage 1, and its 0' in told[0]


def test_a_loss_that_acts_on_no_image_is_told_in_each_stage(automatic, monkeypatch):
    monkeypatch.setattr(calibration_hook, 'PATIENCE', 2)
    automatic.model.foreground.confidence = 0.999
    automatic.custom_hooks[0].stages = [dict(losses=['token']), dict(begin=2, losses=['token'])]
    train(automatic)

    assert sum('has acted on no image' in line for line in log_of(automatic)) == 2


def test_what_was_collected_of_other_images_or_another_model_is_not_used(automatic):
    automatic.custom_hooks[0].stages = [dict(losses=['dimension'])]
    automatic.train_cfg.max_epochs, automatic.randomness = 1, dict(seed=0)
    other_images, other_model, other_loss = (copy.deepcopy(automatic) for _ in range(3))
    other_images.train_dataloader.dataset.pipeline[-1] = dict(type='PackInputs', meta_keys=())
    other_model.model.backbone.drop_path_rate = 0.1
    other_loss.model.calibration.dimension.loss_weight = 2.0
    cfgs = dict(same=automatic, images=other_images, model=other_model, loss=other_loss)

    files = {}
    for name, cfg in cfgs.items():
        cfg.work_dir, cfg.experiment_name = f'{automatic.work_dir}_{name}', name
        train(cfg)
        (file,) = Path(cfg.work_dir, 'calibration').glob('class_means_*.pth')
        files[name] = file.name

    assert files['same'] == files['loss']
    assert len({*files.values()}) == 3


def test_a_run_of_a_blank_control_and_a_late_begin_is_ordinary(tmp_path, digit_scenes):
    stages = [dict(begin=1, losses=[])]
    blank = {'custom_hooks.0.stages': stages, 'train_cfg.max_epochs': 2}
    train(config(tmp_path, digit_scenes, 'auto-calibrated-deit-d6w96', **blank))
    plain = config(tmp_path / 'plain', digit_scenes, 'auto-calibrated-deit-d6w96', **blank)
    make_plain(plain)
    train(plain)

    expected = weights(tmp_path / 'plain/run/epoch_2.pth')
    found = weights(tmp_path / 'run/epoch_2.pth')
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_what_no_stage_needs_any_more_is_not_kept(automatic, tmp_path):
    train(automatic)

    saved = [torch.load(tmp_path / f'run/epoch_{n}.pth', weights_only=False) for n in (2, 3)]
    frozen = [checkpoint['calibration']['frozen'] for checkpoint in saved]
    assert frozen[0] is not None and frozen[1] is None


def test_a_stage_after_the_end_is_said(automatic):
    automatic.custom_hooks[0].stages = [dict(losses=[]), dict(begin=1, losses=['token'])]
    automatic.train_cfg.max_epochs = 1
    train(automatic)

    (line,) = [line for line in log_of(automatic) if 'last calibration stage' in line]
    assert 'WARNING' in line and 'begin with epoch 1, and the training ends before' in line


@pytest.mark.parametrize('switched', [False, True])
def test_images_that_are_mixed_until_a_calibration_are_told_of_at_once(automatic, switched):
    automatic.custom_hooks[0].stages = [dict(losses=[]), dict(begin=1, losses=['token'])]
    automatic.model.train_cfg = dict(augments=[dict(type='Mixup', alpha=0.8)])
    automatic.train_cfg.max_epochs = 2
    if switched:
        recipe = dict(action_epoch=2, batch_augments=None)
        automatic.custom_hooks.append(dict(type='SwitchRecipeHook', schedule=[recipe]))
        train(automatic)
    else:
        with pytest.raises(UserError, match='images of a calibrated batch are mixed'):
            train(automatic)

    told = [line for line in log_of(automatic) if 'must not be' in line]
    assert [('WARNING' in line, 'from epoch 1 on' in line) for line in told] == (
        [] if switched else [(True, True)]
    )


@pytest.mark.parametrize('name', ['calibrated', 'auto-calibrated'])
@pytest.mark.parametrize('losses', ['token', 'dimension'])
def test_label_maps_that_a_later_stage_will_want_are_asked_for_at_once(
    tmp_path, digit_scenes, name, losses
):
    stages = [dict(losses=[]), dict(begin=1, losses=[losses])]
    options = {'custom_hooks.0.stages': stages, 'train_cfg.max_epochs': 1}
    cfg = config(tmp_path, digit_scenes, f'{name}-deit-d6w96', **options)
    cfg.train_dataloader.dataset.pipeline = cfg.test_dataloader.dataset.pipeline
    train(cfg)

    where = f'images of {digit_scenes}/classification come without label maps'
    told = [line for line in log_of(cfg) if where in line]
    wanted = (name, losses) == ('calibrated', 'token')
    assert [('WARNING' in line, 'from epoch 1 on' in line) for line in told] == (
        [(True, True)] if wanted else []
    )


def test_epochs_are_refused_where_a_loop_counts_iterations(automatic):
    automatic.train_cfg = dict(type='IterBasedTrainLoop', max_iters=2, val_interval=2)
    with pytest.raises(UserError, match='such as 2, and IterBasedTrainLoop counts iterations'):
        train(automatic)


def test_a_threshold_that_nothing_reaches_is_said(automatic):
    automatic.custom_hooks[0].stages = [dict(losses=['dimension'])]
    automatic.model.calibration.dimension = dict(type='IntraTokenLoss', threshold=1.1)
    automatic.train_cfg.max_epochs = 1
    train(automatic)

    (line,) = [line for line in log_of(automatic) if 'rest on no dimension at all' in line]
    assert 'WARNING' in line and 'dimension, layer 1' in line


def test_a_run_is_not_resumed_with_other_stages_or_another_foreground(automatic, tmp_path):
    automatic.train_cfg.max_epochs = 3
    train(automatic)
    automatic.resume = True
    swapped = [dict(losses=['dimension']), dict(begin=2, losses=['token'])]
    later = [dict(losses=['token']), dict(begin=1, losses=['dimension'])]
    for epoch, changed in (
        (3, dict(stages=[dict(losses=['token'])])),
        (2, dict(stages=swapped)),
        (3, dict(stages=later)),
        (1, None),
    ):
        other = copy.deepcopy(automatic)
        other.work_dir = str(tmp_path / 'other')
        other.experiment_name = f'{tmp_path.name}{epoch}{changed}'
        other.load_from = str(tmp_path / f'run/epoch_{epoch}.pth')
        if changed:
            other.custom_hooks[0].update(changed)
        else:
            other.model.foreground = dict(type='SuppliedForeground')
        with pytest.raises(UserError, match='of other stages or with another foreground'):
            train(other)


def test_stages_may_count_iterations(automatic):
    automatic.custom_hooks[0].update(
        by_epoch=False, stages=[dict(losses=['token']), dict(begin=3, losses=[])]
    )
    automatic.train_cfg.max_epochs = 1
    train(automatic)

    begins = [line for line in log_of(automatic) if 'calibration stage' in line]
    assert 'calibration stage 2 of 2 begins with iteration 3' in begins[1]


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(stages=[]), r'stages \[\] are none; use a list'),
        (dict(stages=dict(losses=['token'])), 'stages .* are none; use a list'),
        (dict(stages=['token']), "stage 'token' is no dict; write it as dict"),
        (dict(stages=3), 'stages 3 are none; use a list'),
        (dict(stages=[dict(losses=[0])]), 'is not dict.*name its losses in a list'),
        (dict(stages=[None]), 'stage None is no dict; write it as dict'),
        (dict(stages=[dict(loss=['token'])]), 'is not dict.* leave out loss'),
        (dict(stages=[dict(losses='token')]), 'is not dict.*name its losses in a list'),
        (dict(stages=[dict(losses=[]), dict(losses=[])]), 'begins with 0, not after the stage'),
        (dict(stages=[dict(losses=[], begin=-1)]), 'begin -1 is not a whole number from 0 up'),
        (dict(stages=[dict(losses=[])], samples=5), 'fewest 10 is more than samples 5'),
    ],
)
def test_stages_that_are_none_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        HOOKS.build(dict(type='CalibrationHook', **options))


def test_a_stage_with_a_loss_that_the_model_lacks_is_refused(automatic):
    automatic.custom_hooks[0].stages = [dict(losses=['tokens'])]
    with pytest.raises(UserError, match="loss 'tokens' is not in calibration of the model"):
        train(automatic)


def test_a_model_without_losses_is_refused(automatic):
    make_plain(automatic)
    automatic.custom_hooks = [dict(type='CalibrationHook', stages=[dict(losses=[])])]
    with pytest.raises(UserError, match='ImageClassifier has no losses to switch'):
        train(automatic)


def test_images_that_are_nowhere_tested_are_asked_for(automatic):
    automatic.custom_hooks[0].stages = [dict(losses=['dimension'])]
    for name in ('val', 'test'):
        for part in ('dataloader', 'evaluator', 'cfg'):
            automatic[f'{name}_{part}'] = None
    with pytest.raises(UserError, match='no pipeline of its own; give it a dataset'):
        train(automatic)


def test_a_dataset_without_a_pipeline_is_refused_before_it_is_read(automatic):
    given = copy.deepcopy(automatic.train_dataloader.dataset)
    del given.pipeline
    automatic.custom_hooks[0].update(stages=[dict(losses=['dimension'])], dataset=given)
    with pytest.raises(UserError, match='of CalibrationHook has no pipeline.*that of testing'):
        train(automatic)


def test_a_checkpoint_of_another_training_is_not_resumed(automatic, tmp_path):
    plain = copy.deepcopy(automatic)
    make_plain(plain)
    plain.work_dir, plain.experiment_name = str(tmp_path / 'plain'), f'{tmp_path.name}plain'
    plain.train_cfg.max_epochs = 1
    train(plain)
    automatic.load_from, automatic.resume = str(tmp_path / 'plain/epoch_1.pth'), True

    with pytest.raises(UserError, match='has no calibration in it.*load_from instead'):
        train(automatic)


def test_weights_of_no_classifier_are_refused(automatic, tmp_path):
    state = MODELS.build(automatic.model).state_dict()
    detector = {name: value for name, value in state.items() if not name.startswith('head.')}
    detector['rpn_head.rpn_cls.weight'] = torch.zeros(3, 4, 1, 1)
    torch.save({'state_dict': detector}, tmp_path / 'detector.pth')
    automatic.load_from = str(tmp_path / 'detector.pth')

    with pytest.raises(UserError, match='detector.pth.*head.fc'):
        train(automatic)
