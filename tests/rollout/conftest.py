"""Small models of the three libraries over the family, and an image for them."""

from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS as DETECTORS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmpretrain.registry import MODELS as CLASSIFIERS
from mmpretrain.structures import DataSample
from mmseg.registry import MODELS as SEGMENTORS
from mmseg.structures import SegDataSample

CONFIGS = Path(__file__).parents[2] / 'configs' / 'digits'
ARCH = dict(embed_dims=24, num_layers=3, num_heads=3, feedforward_channels=48)
CASES = {
    'segmentor': ('upernet_life-d6w96_digits-seg', 'mmseg', SEGMENTORS, SegDataSample),
    'detector': ('mask-rcnn_life-d6w96_digits-det', 'mmdet', DETECTORS, DetDataSample),
    'classifier': ('life-d6w96_digits-cls', 'mmpretrain', CLASSIFIERS, DataSample),
}


@pytest.fixture
def build():
    """A function that builds a small model: build('detector', window_size=3)."""

    def make(kind, **backbone):
        torch.manual_seed(0)
        name, scope, registry, _ = CASES[kind]
        cfg = Config.fromfile(CONFIGS / f'{name}.py')
        model = cfg.model
        model.backbone.update(arch=ARCH, init_cfg=None, **backbone)
        if 'neck' in model and model.neck:
            model.neck.in_channels = 24
            model.neck.patch_size *= 2 ** len(backbone.get('pool_before', ()))
        if kind == 'classifier':
            model.head.in_channels = 24
            model.data_preprocessor = cfg.data_preprocessor
        with registry.switch_scope_and_registry(scope) as own:
            built = own.build(model).eval()
        built.dataset_meta = dict(classes=cfg.metainfo.classes)
        # Attention of DeiT's initialization is almost uniform, and would hide mistakes.
        for layer in built.backbone.layers:
            for parameter in layer.attn.qkv.parameters():
                torch.nn.init.normal_(parameter, std=0.3)
        return built

    return make


@pytest.fixture
def image_data():
    """A function that packs a random image: image_data('detector', 40, 56)."""

    def make(kind, height, width):
        generator = torch.Generator().manual_seed(1)
        image = torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)
        meta = dict(
            ori_shape=(height, width),
            img_shape=(height, width),
            scale_factor=(1.0, 1.0),
            img_id=0,
            img_path='image.png',
        )
        return dict(inputs=[image], data_samples=[CASES[kind][3](metainfo=meta)])

    return make


@pytest.fixture
def predicted(build, image_data, monkeypatch):
    """A function that captures a model whose prediction is replaced by a hand-made one."""

    def make(kind, size, prediction, **backbone):
        model, data = build(kind, **backbone), image_data(kind, *size)
        predict = model.test_step

        def test_step(data):
            predict(data)
            return [prediction]

        monkeypatch.setattr(model, 'test_step', test_step)
        return model, data

    return make
