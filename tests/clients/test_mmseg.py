"""mmseg's own clients work with every segmentor, from its config and a checkpoint."""

from pathlib import Path

import cv2
import pytest
from leaf_checkpoints import Trained, holds, leaves_of
from mmseg.apis import MMSegInferencer, inference_model, init_model

every_segmentor = pytest.mark.parametrize('trained', leaves_of('mmseg'), indirect=True)


@every_segmentor
def test_inferencer_predicts_and_paints(trained: Trained, picture: Path, tmp_path: Path):
    inferencer = MMSegInferencer(str(trained.config), str(trained.checkpoint), device='cpu')

    results = inferencer(str(picture), out_dir=str(tmp_path))

    assert holds(inferencer.model, trained)
    assert results['predictions'].shape == (48, 64)
    assert results['predictions'].max() < len(trained.classes)
    assert cv2.imread(str(tmp_path / 'vis' / picture.name)).shape == (48, 64, 3)


@every_segmentor
def test_init_model_takes_the_config_and_the_checkpoint(trained: Trained, picture: Path):
    model = init_model(str(trained.config), str(trained.checkpoint), device='cpu')

    result = inference_model(model, str(picture))

    assert holds(model, trained)
    assert tuple(model.dataset_meta['classes']) == trained.classes
    assert result.pred_sem_seg.shape == (48, 64)
