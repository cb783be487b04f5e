"""Probes from a config to numbers, on scenes whose classes are colors."""

import json

import pytest
from mmengine.config import Config
from probe_scenes import RESNET, write_classifier, write_scenes, write_segmentor

from mmtoken.errors import UserError
from mmtoken.experiments.probe import draw_tenths, probe
from mmtoken.experiments.probe_backbone import build_frozen_backbone


def test_colors_are_read_off_random_weights(segmentor):
    report = probe(segmentor, None)

    assert report['knn']['mIoU'] > 95
    assert report['logreg']['mIoU'] > 95
    assert report['test'] == dict(scenes=3, patches=48)
    assert (report['grid'], report['channels']) == ((4, 4), 24)


def test_training_scenes_take_the_test_pipeline(segmentor):
    assert probe(segmentor, None)['train']['patches'] == 12 * 16


def test_a_classifier_is_probed_on_the_data_of_another_config(segmentor, tmp_path):
    cfg = Config.fromfile(write_classifier(tmp_path / 'classifier.py'))

    report = probe(cfg, None, segmentor)

    assert report['logreg']['mIoU'] > 95
    assert report['config'] == cfg.filename
    assert report['data'] == segmentor.filename


def test_feature_maps_of_any_stride_are_probed(segmentor, tmp_path):
    cfg = Config.fromfile(write_classifier(tmp_path / 'resnet.py', RESNET))

    coarse, fine = (probe(cfg, None, segmentor, level=level) for level in (-1, 0))

    assert (coarse['grid'], fine['grid']) == ((4, 4), (8, 8))
    assert min(coarse['logreg']['mIoU'], fine['logreg']['mIoU']) > 80


def test_the_same_is_found_again(segmentor):
    reports = [json.loads(json.dumps(probe(segmentor, None, train_scenes=10))) for _ in range(2)]

    assert reports[0] == reports[1]


def test_no_scene_is_both_learned_from_and_held_out(segmentor, monkeypatch):
    folds = []

    def record(reader, given, classes):
        folds.extend((set(kept.scenes), set(held_out.scenes)) for kept, held_out in given)
        return 1, []

    monkeypatch.setattr('mmtoken.experiments.probe.choose', record)
    probe(segmentor, None)

    assert all(not kept & held_out for kept, held_out in folds)
    assert all(kept | held_out == set(range(12)) for kept, held_out in folds)
    assert set.union(*(held_out for _, held_out in folds)) == set(range(12))


def test_test_scenes_take_no_part_in_what_is_chosen(segmentor):
    first, second = (probe(segmentor, None, test_scenes=scenes) for scenes in ([0], [1, 2]))

    assert [report['test']['patches'] for report in (first, second)] == [16, 32]
    assert first['knn']['tried'] == second['knn']['tried']


@pytest.mark.parametrize('options', [dict(train_scenes=[1, 3]), dict(train_scenes=2)])
def test_too_few_training_scenes_are_refused(segmentor, options):
    with pytest.raises(UserError, match='training scenes are 2, and a tenth is held out; use 10'):
        probe(segmentor, None, **options)


def test_the_scenes_of_the_config_are_used(segmentor):
    segmentor.train_dataloader.dataset.indices = 11

    assert probe(segmentor, None)['train']['scenes'] == list(range(11))


def test_scenes_that_are_not_there_are_refused(segmentor):
    with pytest.raises(UserError, match='training scenes: 50 is not in the data set, which has 12'):
        probe(segmentor, None, train_scenes=50)
    with pytest.raises(UserError, match='test scenes: the scene 3 is not in the data set'):
        probe(segmentor, None, test_scenes=[0, 3])


def test_a_scene_that_is_chosen_twice_is_refused(segmentor):
    with pytest.raises(UserError, match='training scenes: 4 is chosen twice'):
        probe(segmentor, None, train_scenes=[*range(10), 4])


def test_scenes_of_one_class_are_refused(tmp_path):
    write_scenes(tmp_path, classes=1)
    cfg = Config.fromfile(write_segmentor(tmp_path, tmp_path / 'segmentor.py'))

    with pytest.raises(UserError, match='patches of 12 training scenes are of one class'):
        probe(cfg, None)


def test_data_sets_of_other_classes_are_refused(segmentor):
    segmentor.test_dataloader.dataset.metainfo = dict(classes=('ground', 'red'))

    with pytest.raises(UserError, match='name the same in metainfo.classes of both'):
        probe(segmentor, None)


def test_a_config_without_segmentation_data_is_refused(segmentor, tmp_path):
    cfg = Config.fromfile(write_classifier(tmp_path / 'classifier.py'))

    with pytest.raises(UserError, match='no segmentation data to probe on.*--data'):
        probe(cfg, None)
    segmentor.pop('test_dataloader')
    with pytest.raises(UserError, match='it lacks test_dataloader'):
        probe(segmentor, None)


def test_patches_that_are_left_out_are_told(segmentor):
    report = probe(segmentor, None, max_patches=60)

    assert report['train']['patches'] == 60
    assert report['notes'] == ['60 of 192 training patches were used (max_patches)']


def test_less_than_a_patch_a_scene_is_refused(segmentor):
    with pytest.raises(UserError, match='max_patches 5 is less than one of each of 12'):
        probe(segmentor, None, max_patches=5)


def test_images_that_the_weights_know_otherwise_are_told(segmentor, tmp_path):
    cfg = Config.fromfile(write_classifier(tmp_path / 'classifier.py'))
    cfg.data_preprocessor.std = [1.0] * 3

    (note,) = probe(cfg, None, segmentor)['notes']

    assert note.startswith('images were normalized as ')


def test_what_was_measured_is_said(segmentor):
    weights = build_frozen_backbone(segmentor, None, seed=3).state_dict()

    given, random = probe(segmentor, weights), probe(segmentor, None, seed=3)

    assert (given['random_seed'], random['random_seed']) == (None, 3)
    assert given['knn'] == random['knn']
    assert 'commit' in random['environment']


def test_a_tenth_of_many_scenes_is_held_out():
    tenths = draw_tenths(range(300))

    assert [len(tenth) for tenth in tenths] == [30]
    assert tenths == draw_tenths([*reversed(range(300))])


@pytest.mark.parametrize(('scenes', 'tenths'), [(10, 10), (30, 10), (100, 3), (1500, 1)])
def test_of_few_scenes_one_tenth_after_the_other_is_held_out(scenes, tenths):
    drawn = draw_tenths(range(scenes))

    assert len(drawn) == tenths
    held_out = [scene for tenth in drawn for scene in tenth]
    assert len(set(held_out)) == len(held_out)


def test_tenths_of_eleven_scenes_are_never_empty():
    assert all(draw_tenths(range(11)))
