"""What a probe chooses, and that its numbers are those of mmsegmentation."""

import sys

import numpy as np
import pytest
import torch
from mmseg.evaluation import IoUMetric

from mmtoken.errors import UserError
from mmtoken.experiments.probe_classifiers import Reader, choose, count, fit, make_readers, scores
from mmtoken.experiments.probe_patches import Patches


def patches_of(labels, features=None):
    labels = np.array(labels)
    features = np.eye(4, dtype=np.float32)[labels] if features is None else features
    return Patches(features, labels, np.zeros_like(labels), len(labels), (1, len(labels)))


class Says:
    """A fitted pipeline that always says the same."""

    def __init__(self, said):
        self.said = np.array(said)

    def fit(self, features, labels):
        return self

    def predict(self, features):
        return self.said


def test_mean_iou_is_that_of_mmsegmentation():
    generator = np.random.default_rng(0)
    truth, said = generator.integers(0, 4, 500), generator.integers(1, 5, 500)
    metric = IoUMetric(iou_metrics=['mIoU'])
    metric.dataset_meta = dict(classes=tuple('abcdef'))  # 'f' is neither there nor said
    pair = {
        'gt_sem_seg': dict(data=torch.as_tensor(truth)[None]),
        'pred_sem_seg': dict(data=torch.as_tensor(said)[None]),
    }
    metric.process({}, [pair])
    expected = metric.compute_metrics(metric.results)

    found = scores(count(Says(said), patches_of(truth, np.zeros((500, 1))), classes=6))

    assert found['mIoU'] == pytest.approx(expected['mIoU'], abs=0.006)
    assert found['accuracy'] == pytest.approx(expected['aAcc'], abs=0.006)
    assert found['IoU'][4:] == [0.0, None]


def test_the_value_that_is_best_on_held_out_patches_is_chosen():
    truth = [0, 1, 2]
    says = {1: [0, 0, 0], 5: truth, 10: truth}
    reader = Reader('', 'C', (1, 5, 10), lambda value: Says(says[value]))

    value, tried = choose(reader, [(patches_of(truth), patches_of(truth))], classes=3)

    assert value == 5
    assert [row['C'] for row in tried] == [1, 5, 10]
    assert [round(row['mIoU'], 2) for row in tried] == [11.11, 100.0, 100.0]


def test_folds_are_counted_together():
    reader = Reader('', 'C', (1,), lambda _: Says([0]))
    folds = [(patches_of([0]), patches_of([label])) for label in (0, 1)]

    ((_, tried)) = choose(reader, folds, classes=2)

    # Of the first fold alone 100, of the second 0: together 1 of 2 and 0 of 1.
    assert tried == [{'C': 1, 'mIoU': 25.0}]


def test_no_more_neighbors_are_tried_than_there_are_patches():
    kept = patches_of([0, 1, 0, 1, 0, 1, 1])

    _, tried = choose(make_readers()['knn'], [(kept, kept)], classes=2)

    assert [row['k'] for row in tried] == [1, 5]


@pytest.mark.parametrize('name', ['knn', 'logreg'])
def test_a_channel_counts_the_same_at_any_scale(name):
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 80)
    features = generator.normal(size=(80, 3)).astype(np.float32)
    features[:, 0] += 8 * labels
    features[:, 1:] *= 1e4
    train, test = (patches_of(labels[half], features[half]) for half in (slice(40), slice(40, 80)))

    pipeline = fit(make_readers()[name].make(1), train)

    assert scores(count(pipeline, test, classes=2))['accuracy'] > 85


def test_neighbors_are_near_by_direction_and_not_by_distance():
    features = np.array([[10, 0], [-10, 0], [0, 10], [0, -10], [1, 1], [-1, -1]], np.float32)
    pipeline = fit(make_readers()['knn'].make(1), patches_of([0, 0, 1, 1, 1, 1], features))

    assert pipeline.predict(np.array([[1.0, 0.0]], np.float32)).tolist() == [0]


def test_a_missing_scikit_learn_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, 'sklearn.neighbors', None)

    with pytest.raises(UserError, match='pip install scikit-learn'):
        make_readers()
