"""Models of all three libraries are found by name, built, filled with weights, and used."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmdet.apis import inference_detector
from mmengine.config import Config
from mmpretrain import ImageClassificationInferencer
from mmseg.apis import inference_model as inference_segmentor

from mmtoken import get_model, list_models
from mmtoken.errors import UserError
from mmtoken.runtime import own_configs

CONFIGS = Path(__file__).parents[2] / 'configs'
CLASSIFIER = 'life-d6w96_digits-cls'
DETECTOR = 'mask-rcnn_life-d6w96_digits-det'
SEGMENTOR = 'upernet_life-d6w96_digits-seg'
IMAGE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


@pytest.fixture(scope='module')
def saved(tmp_path_factory) -> tuple[torch.nn.Module, str]:
    """A detector and a checkpoint of it, whose weights no other has."""
    model = get_model(DETECTOR)
    path = tmp_path_factory.mktemp('saved') / 'detector.pth'
    torch.save({'state_dict': model.state_dict()}, path)
    return model, str(path)


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_every_leaf_config_is_listed():
    leaves = {path.stem for path in CONFIGS.glob('*/*.py') if path.parent.name != '_base_'}

    assert list_models() == sorted(leaves)


def test_models_of_an_installed_package_are_listed(monkeypatch, tmp_path: Path):
    for name in ('configs', 'model-index.yml'):
        (tmp_path / name).symlink_to(CONFIGS.parent / name)
    names = list_models()
    monkeypatch.setattr(own_configs, 'ROOTS', (tmp_path / 'no checkout', tmp_path))

    assert list_models() == names
    assert Path(get_model(CLASSIFIER).cfg.filename).is_relative_to(tmp_path)


@pytest.mark.parametrize(
    ('asked', 'found', 'not_found'),
    [
        (('life*',), CLASSIFIER, DETECTOR),
        (('life',), CLASSIFIER, DETECTOR),
        (('*life*',), DETECTOR, 'deit-d6w96_digits-cls'),
        ((None, ['life', 'mask-rcnn*']), SEGMENTOR, CLASSIFIER),
        ((None, (), 'Object Detection'), DETECTOR, CLASSIFIER),
        (('upernet', (), 'Semantic Segmentation'), SEGMENTOR, DETECTOR),
    ],
)
def test_patterns_and_tasks_choose_names(asked, found: str, not_found: str):
    names = list_models(*asked)

    assert found in names and not_found not in names
    assert names == sorted(names)


def test_an_unknown_task_is_refused_with_those_that_are():
    with pytest.raises(UserError, match="'Object Detektion' is unknown.*did you mean 'Object "):
        list_models(task='Object Detektion')


def test_a_classifier_predicts_with_the_client_of_its_library():
    model = get_model(CLASSIFIER)

    assert not model.training
    assert model.dataset_meta['classes'] == tuple('0123456789')
    (result,) = ImageClassificationInferencer(model)(IMAGE)
    assert result['pred_class'] in tuple('0123456789')


def test_a_detector_predicts_with_the_client_of_its_library(saved):
    # Untrained scores are low.
    cutoff = dict(rcnn=dict(score_thr=0.0))
    model = get_model(DETECTOR, saved[1], test_cfg=cutoff)

    result = inference_detector(model, IMAGE)

    assert len(result.pred_instances) > 0
    assert result.pred_instances.labels.max() < len(model.dataset_meta['classes'])


def test_a_segmentor_predicts_with_the_client_of_its_library():
    result = inference_segmentor(get_model(SEGMENTOR), IMAGE)

    assert result.pred_sem_seg.shape == (64, 64)


def test_the_checkpoint_is_loaded(saved):
    model, path = saved

    assert same_weights(get_model(DETECTOR, path), model)
    assert not same_weights(get_model(DETECTOR), model)


def test_a_checkpoint_of_another_model_is_refused(saved):
    with pytest.raises(UserError, match='do not cover the model'):
        get_model(CLASSIFIER, saved[1])


@pytest.mark.parametrize('kind', [str, Path, Config.fromfile])
def test_a_path_and_a_config_are_taken_too(kind):
    path = CONFIGS / 'digits' / f'{CLASSIFIER}.py'
    given = kind(path)

    model = get_model(given, backbone=dict(out_type='avg_featmap'))

    assert model.backbone.out_type == 'avg_featmap'
    assert not isinstance(given, Config) or given.model.backbone.get('out_type') != 'avg_featmap'


def test_pretrained_loads_what_training_starts_from(saved):
    detector, path = saved
    start = dict(type='Pretrained', checkpoint=path, prefix='backbone.')

    model = get_model(DETECTOR, pretrained=True, backbone=dict(init_cfg=start))

    assert same_weights(model.backbone, detector.backbone)
    assert not same_weights(model.roi_head, detector.roi_head)
    cfg = Config(dict(detector.cfg.to_dict(), load_from=path))
    assert same_weights(get_model(cfg, pretrained=True), detector)


def test_pretrained_finds_the_weights_of_the_backbone_that_lora_holds(saved):
    detector, path = saved
    start = dict(type='Pretrained', checkpoint=path, prefix='backbone.')
    cfg = Config(detector.cfg.to_dict())
    held = dict(cfg.model.backbone, init_cfg=start)
    cfg.model.backbone = dict(type='mmpretrain.LoRABackbone', module=held, targets=('attn.proj',))

    model = get_model(cfg, pretrained=True)

    expected = detector.backbone.layers[0].attn.proj
    assert same_weights(model.backbone.layers[0].attn.proj.original_layer, expected)


@pytest.mark.parametrize(
    ('asked', 'options', 'said'),
    [
        ('lief-d6w96_digits-cls', {}, f"none of the .* did you mean '{CLASSIFIER}'"),
        ('nonsense', {}, 'see mmtoken.list_models'),
        (f'configs/nowhere/{CLASSIFIER}.py', {}, 'does not exist'),
        (3, {}, 'model 3 is neither'),
        (CLASSIFIER, dict(checkpoint='no.pth'), 'checkpoint no.pth does not exist'),
        (CLASSIFIER, dict(pretrained=True), 'names no weights that training starts from'),
        (CLASSIFIER, dict(device='nowhere'), "device 'nowhere' is not here"),
        (CLASSIFIER, dict(backbone=dict(out_typ='raw')), "did you mean 'out_type'"),
    ],
)
def test_what_cannot_be_is_answered_by_a_sentence(asked, options: dict, said: str):
    with pytest.raises(UserError, match=said):
        get_model(asked, **options)
