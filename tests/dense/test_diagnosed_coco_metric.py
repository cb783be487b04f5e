"""COCO's figures and a detector's errors, as an evaluator of mmdet's configs."""

import json
import sys

import numpy as np
import pytest
import torch
from coco_truth import CLASSES, LEFT, LOW, RIGHT, content
from mmengine.evaluator import Evaluator
from mmengine.registry import DefaultScope
from pycocotools import mask as masks

from mmtoken.dense import DiagnosedCocoMetric
from mmtoken.dense.box_errors import KINDS
from mmtoken.errors import UserError

OBJECTS = [(1, 1, LEFT), (2, 2, LEFT), (2, 1, RIGHT), (3, 3, RIGHT), (4, 2, LEFT)]
# Of each image the class from 1, the score and the box; image 2's are one right and one wrong, and
# image 3's is in the wrong place.
PREDICTIONS = {
    1: [(1, 0.9, LEFT)],
    2: [(2, 0.8, LEFT), (3, 0.7, RIGHT)],
    3: [(3, 0.6, LOW)],
    4: [(2, 0.5, LEFT)],
}


@pytest.fixture
def ann_file(tmp_path):
    """Writes annotations, and returns where."""

    def write(*args, name='truth.json', **options):
        path = tmp_path / name
        path.write_text(json.dumps(content(*args, **options)))
        return str(path)

    return write


def sample(image, boxes):
    """What a detector says of an image; the masks fill the boxes."""
    boxes = [(number, score, np.array(box)) for number, score, box in boxes]
    filled = []
    for _, _, (x, y, w, h) in boxes:
        mask = np.zeros((64, 64), np.uint8, order='F')
        mask[y : y + h, x : x + w] = 1
        filled.append(masks.encode(mask))
    instances = dict(
        bboxes=torch.tensor(
            np.array([[x, y, x + w, y + h] for _, _, (x, y, w, h) in boxes]).reshape(-1, 4)
        ),
        scores=torch.tensor([score for _, score, _ in boxes]),
        labels=torch.tensor([number - 1 for number, _, _ in boxes], dtype=torch.long),
        masks=filled,
    )
    return dict(img_id=image, ori_shape=(64, 64), pred_instances=instances)


def evaluate(predictions, type='mmpretrain.DiagnosedCocoMetric', classes=CLASSES, **options):
    """The figures, as a run with an mmdet config gets them."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        evaluator = Evaluator(dict(type=type, **options))
    evaluator.dataset_meta = dict(classes=classes)
    for item in predictions.items():
        evaluator.process([sample(*item)])
    return evaluator.evaluate(len(predictions))


def test_it_reports_what_mmdet_does_and_more(ann_file):
    options = dict(ann_file=ann_file([1, 2, 3, 4], OBJECTS), metric=['bbox', 'segm'])

    found = evaluate(PREDICTIONS, **options)

    expected = evaluate(PREDICTIONS, type='CocoMetric', **options)
    assert {name: found[name] for name in expected} == expected
    assert found.keys() - expected.keys() == {
        'coco/bbox_AR@100',
        'coco/segm_AR@100',
        'coco/bbox_mAP_agnostic',
        'coco/segm_mAP_agnostic',
        *(f'coco/bbox_tide_{kind}' for kind in KINDS),
    }


def test_a_right_box_of_a_wrong_class_is_an_error_of_the_class_alone(ann_file):
    found = evaluate({1: [(2, 0.9, LEFT)]}, ann_file=ann_file([1], [(1, 1, LEFT)]))

    assert found['coco/bbox_mAP'] == 0
    assert found['coco/bbox_mAP_agnostic'] == pytest.approx(1)
    assert [found[f'coco/bbox_tide_{kind}'] for kind in KINDS] == [1, 0, 0, 0, 0, 0]


def test_recall_is_that_of_the_objects_found(ann_file):
    path = ann_file([1], [(1, 1, LEFT), (1, 1, RIGHT)])

    found = evaluate({1: [(1, 0.9, LEFT)]}, ann_file=path, metric=['bbox', 'segm'])

    assert found['coco/bbox_AR@100'] == found['coco/segm_AR@100'] == 0.5


def test_masks_have_a_class_agnostic_ap_of_their_own(ann_file):
    found = evaluate({1: [(2, 0.9, LOW)]}, ann_file=ann_file([1], [(1, 1, LOW)]), metric='segm')

    assert found['coco/segm_mAP_agnostic'] == pytest.approx(1)
    assert not any('bbox' in name for name in found)


def test_a_part_of_a_data_set_is_evaluated_as_if_it_were_all_of_it(ann_file):
    part = {image: PREDICTIONS[image] for image in (4, 2)}
    own = [item for item in OBJECTS if item[0] in part]
    options = dict(metric=['bbox', 'segm'])

    found = evaluate(part, ann_file=ann_file([1, 2, 3, 4], OBJECTS), **options)

    # Without the others' objects, of which none is missed: they were not looked for.
    expected = ann_file([2, 4], own, name='part.json')
    assert found == evaluate(part, ann_file=expected, **options)
    assert found['coco/bbox_mAP'] == 0.5
    assert found['coco/bbox_tide_miss'] == 0


def test_another_part_may_be_evaluated_next(ann_file):
    path = ann_file([1, 2, 3, 4], OBJECTS)
    metric = DiagnosedCocoMetric(path)
    metric.dataset_meta = dict(classes=CLASSES)

    found = []
    for image in (3, 1):
        metric.process({}, [sample(image, PREDICTIONS[image])])
        found.append(metric.evaluate(1)['coco/bbox_mAP'])

    assert found == [0, 1]


def test_the_part_is_said(ann_file, monkeypatch):
    said = []
    monkeypatch.setattr(
        'mmtoken.dense.diagnosed_coco_metric.print_log', lambda text, **_: said.append(text)
    )
    path = ann_file([1, 2, 3, 4], OBJECTS)

    evaluate(PREDICTIONS, ann_file=path)
    evaluate({2: PREDICTIONS[2]}, ann_file=path)

    assert said == ['evaluated are the 1 images that were predicted on, of 4 annotated']


def test_classes_that_are_not_the_data_sets_are_no_objects(ann_file):
    path = ann_file([1], [(1, 1, LEFT), (1, 3, RIGHT)])

    found = evaluate({1: [(1, 0.9, LEFT)]}, ann_file=path, classes=('cup', 'jug'))

    assert found['coco/bbox_mAP_agnostic'] == pytest.approx(1)
    assert found['coco/bbox_tide_miss'] == 0


def test_images_of_other_annotations_are_refused_at_once(ann_file):
    metric = DiagnosedCocoMetric(ann_file([1], [(1, 1, LEFT)]))

    with pytest.raises(UserError, match=r'image 7 .* is not in ann_file .*truth.json'):
        metric.process({}, [sample(7, [(1, 0.9, LEFT)])])


def test_the_objects_may_come_with_the_data_set():
    metric = DiagnosedCocoMetric()
    metric.dataset_meta = dict(classes=CLASSES)
    annotated = dict(bbox_label=0, bbox=[0, 0, 10, 10])

    metric.process({}, [sample(1, [(2, 0.9, LEFT)]) | dict(instances=[annotated])])

    assert metric.evaluate(1)['coco/bbox_mAP_agnostic'] == pytest.approx(1)


def test_nothing_predicted_is_reported_as_mmdet_does(ann_file):
    options = dict(ann_file=ann_file([1], [(1, 1, LEFT)]))

    assert evaluate({1: []}, **options) == evaluate({1: []}, type='CocoMetric', **options) == {}


def test_predictions_are_kept_where_they_are_asked_for(ann_file, tmp_path):
    prefix = tmp_path / 'kept'
    path = ann_file([1], [(1, 1, LEFT)])

    found = evaluate({1: [(2, 0.9, LEFT)]}, ann_file=path, outfile_prefix=str(prefix))

    assert found['coco/bbox_mAP_agnostic'] == pytest.approx(1)
    assert json.loads((tmp_path / 'kept.bbox.json').read_text())[0]['category_id'] == 2


def test_predictions_may_be_written_alone(ann_file, tmp_path):
    options = dict(format_only=True, outfile_prefix=str(tmp_path / 'kept'))

    assert evaluate(PREDICTIONS, ann_file=ann_file([1, 2, 3, 4], OBJECTS), **options) == {}
    assert (tmp_path / 'kept.bbox.json').is_file()


def test_classes_and_prefix_are_as_mmdets(ann_file):
    path = ann_file([1], [(1, 1, LEFT)])

    found = evaluate({1: [(1, 0.9, LEFT)]}, ann_file=path, classwise=True, prefix='held_out')

    assert found['held_out/cup_precision'] == found['held_out/bbox_mAP'] == 1


def test_processes_and_storage_are_as_mmdets():
    metric = DiagnosedCocoMetric(
        backend_args=dict(backend='local'), use_mp_eval=True, collect_device='gpu'
    )

    assert metric.coco.backend_args == dict(backend='local')
    assert metric.coco.use_mp_eval
    assert metric.collect_device == 'gpu'


def test_proposals_are_refused():
    with pytest.raises(UserError, match="metric 'proposal' is not one of"):
        DiagnosedCocoMetric(metric=['bbox', 'proposal'])


def test_without_tidecv_the_rest_is_reported(ann_file, monkeypatch):
    monkeypatch.setitem(sys.modules, 'tidecv', None)
    options = dict(ann_file=ann_file([1], [(1, 1, LEFT)]))

    with pytest.raises(UserError, match='need tidecv'):
        DiagnosedCocoMetric(**options)
    found = evaluate({1: [(2, 0.9, LEFT)]}, tide=False, **options)

    assert found['coco/bbox_mAP_agnostic'] == pytest.approx(1)
    assert not any('tide' in name for name in found)


def test_a_missing_mmdet_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, 'mmdet.evaluation', None)

    with pytest.raises(UserError, match="the library 'mmdet' cannot be imported"):
        DiagnosedCocoMetric()
