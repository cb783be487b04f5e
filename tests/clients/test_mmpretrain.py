"""mmpretrain's own clients work with every classifier, from its config and a checkpoint."""

import math
from pathlib import Path

import pytest
from leaf_checkpoints import Trained, holds, leaves_of
from mmpretrain import (
    FeatureExtractor,
    ImageClassificationInferencer,
    get_model,
    inference_model,
    list_models,
)

from mmtoken.vit.token_backbone import TokenBackbone

CLASSIFIERS = leaves_of('mmpretrain')
every_classifier = pytest.mark.parametrize('trained', CLASSIFIERS, indirect=True)


@every_classifier
def test_classification_inferencer_predicts_and_paints(trained: Trained, picture: Path, tmp_path):
    inferencer = ImageClassificationInferencer(
        str(trained.config), pretrained=str(trained.checkpoint), device='cpu'
    )

    (result,) = inferencer(str(picture), show_dir=str(tmp_path / 'painted'))

    assert holds(inferencer.model, trained)
    assert result['pred_scores'].sum() == pytest.approx(1, abs=1e-4)
    assert result['pred_class'] == trained.classes[result['pred_label']]
    assert (tmp_path / 'painted' / picture.name).is_file()


@every_classifier
def test_feature_extractor_gives_the_features_of_the_backbone(trained: Trained, picture: Path):
    extractor = FeatureExtractor(
        str(trained.config), pretrained=str(trained.checkpoint), device='cpu'
    )

    ((features,),) = extractor(str(picture), stage='backbone')

    assert holds(extractor.model, trained)
    backbone = extractor.model.backbone
    channels = backbone.out_channels[-1]
    sides = [side // backbone.out_strides[-1] for side in backbone.img_size]
    # Of every token where patches are classified, too; a map where the neck takes its mean.
    tokens = backbone.num_aux_tokens + math.prod(backbone.patch_resolution)
    shapes = {'raw': (tokens, channels), 'featmap': (channels, *sides)}
    assert features.shape == shapes.get(backbone.out_type, (channels,))
    assert features.isfinite().all()


@every_classifier
def test_get_model_takes_the_config_and_the_checkpoint(trained: Trained):
    model = get_model(str(trained.config), pretrained=str(trained.checkpoint))

    assert holds(model, trained)


@pytest.mark.parametrize('leaf', CLASSIFIERS)
def test_get_model_takes_the_name(leaf: Path):
    model = get_model(leaf.stem)

    assert Path(model._config.filename).samefile(leaf)
    assert isinstance(model.backbone, TokenBackbone)


def test_inference_model_finds_the_inferencer_of_a_named_model(picture: Path):
    result = inference_model(get_model('life-d6w96_digits-cls'), str(picture))

    assert 0 < result['pred_score'] <= 1


def test_list_models_lists_every_classifier_of_ours_and_nothing_that_it_cannot_build():
    names = {leaf.values[0].stem for leaf in CLASSIFIERS}
    unbuildable = {leaf.values[0].stem for scope in ('mmdet', 'mmseg') for leaf in leaves_of(scope)}

    listed = set(list_models(task='Image Classification'))

    assert names <= listed
    assert not unbuildable & set(list_models())


def test_list_models_still_lists_those_of_mmpretrain():
    assert 'deit-tiny_4xb256_in1k' in list_models('deit*')
    assert {'life-deit-tiny_8xb64_in1k'} == set(list_models('life-deit-tiny_*'))
