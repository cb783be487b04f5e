"""mmdet's own clients work with every detector, from its config and a checkpoint."""

import json
from pathlib import Path

import pytest
from leaf_checkpoints import Trained, holds, leaves_of
from mmdet.apis import DetInferencer, inference_detector, init_detector
from mmdet.models import BaseDetector

every_detector = pytest.mark.parametrize('trained', leaves_of('mmdet'), indirect=True)


def predicts_masks(model: BaseDetector) -> bool:
    """Whether a detector has a mask head."""
    return model.roi_head.with_mask


@every_detector
def test_inferencer_predicts_and_paints(trained: Trained, picture: Path, tmp_path: Path):
    inferencer = DetInferencer(str(trained.config), str(trained.checkpoint), device='cpu')

    results = inferencer(str(picture), out_dir=str(tmp_path), no_save_pred=False)

    (prediction,) = results['predictions']
    written = json.loads((tmp_path / 'preds' / 'noise.json').read_text())
    assert holds(inferencer.model, trained)
    assert set(prediction) >= {'bboxes', 'labels', 'scores'}
    assert ('masks' in prediction) == predicts_masks(inferencer.model)
    assert written['scores'] == prediction['scores']
    assert (tmp_path / 'vis' / picture.name).is_file()


@every_detector
def test_init_detector_takes_the_config_and_the_checkpoint(trained: Trained, picture: Path):
    model = init_detector(str(trained.config), str(trained.checkpoint), device='cpu')

    result = inference_detector(model, str(picture))

    assert holds(model, trained)
    assert tuple(model.dataset_meta['classes']) == trained.classes
    instances = result.pred_instances
    assert ('masks' in instances) == predicts_masks(model)
    assert len(instances.get('masks', instances.scores)) == len(instances.scores)
