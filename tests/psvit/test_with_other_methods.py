"""Aligned labels, token labels and roll-outs go through pools, widths and shared maps."""

from pathlib import Path

import numpy as np
import pytest
import torch
from explicit_attention import explicit_attention, layers_of
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from mmseg.structures import SegDataSample

from mmtoken.experiments.scoreboard_stages import build_part
from mmtoken.rollout import capture, dense_rollout, roll_back
from mmtoken.rollout.explicit import roll_back_explicitly

DIGITS = Path(__file__).parents[2] / 'configs' / 'digits'
STAGES = [
    dict(depth=2, embed_dims=12, num_heads=2, pattern='FS'),
    dict(depth=2, embed_dims=24, num_heads=3, pattern='FS'),
    dict(depth=1, embed_dims=36, num_heads=3),
]
SAMPLES = {'mask-rcnn': DetDataSample, 'upernet': SegDataSample}


def classifier(kind, head, pooling, **options):
    torch.manual_seed(0)
    backbone = dict(
        type='PSViT', stages=STAGES, pooling=pooling, img_size=32, patch_size=4, num_aux_tokens=1
    )
    head = dict(head, num_classes=5, in_channels=36)
    built = MODELS.build(dict(type=kind, backbone=dict(backbone, **options), head=head))
    for layer in built.backbone.layers:
        for parameter in layer.attn.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return built.train()


def images():
    return torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize('pooling', ['1d', '2d'])
def test_labels_are_aligned_by_the_explicit_product(pooling):
    model = classifier('TLAlignClassifier', dict(type='VisionTransformerClsHead'), pooling)
    np.random.seed(0)
    mixed = model.mixer.mix(images())

    with torch.no_grad():
        _, found = model.align(mixed)
        own = torch.cat([mixed.lam[:, None], 1 - mixed.mask.flatten(1).float()], dim=1)[..., None]
        for layer, tokens in layers_of(model.backbone, mixed.images):
            if not hasattr(layer, 'attn'):
                own = layer.pool_trace(own, tokens.grid)
                continue
            if not layer.attn.shares:
                normed = tokens.with_(x=layer.ln1(tokens.x))
                attention = explicit_attention(layer.attn, normed).mean(1)
            own = (attention @ own + own) / 2

    assert (found.flatten() - mixed.lam).abs().max() > 0.005
    torch.testing.assert_close(found.flatten(), own[:, 0].flatten())


@pytest.mark.parametrize('pooling', ['1d', '2d'])
def test_token_labels_train_every_parameter(pooling):
    head = dict(type='TokenLabelHead', num_aux_tokens=1)
    model = classifier('TokenLabelClassifier', head, pooling, out_type='raw')
    model.token_labels, model.class_target = 'image', 'label'
    labels = [DataSample().set_gt_label(label) for label in (0, 1, 2, 3)]

    losses = model(images(), labels, mode='loss')
    sum(losses.values()).backward()

    without = {n for n, p in model.named_parameters() if p.requires_grad and p.grad is None}
    assert not without and all(loss.isfinite() for loss in losses.values())


@pytest.mark.parametrize('kind', SAMPLES)
def test_a_roll_out_of_a_detector_and_a_segmentor_is_the_explicit_product(kind):
    torch.manual_seed(0)
    (path,) = DIGITS.glob(f'{kind}_psvit-*.py')
    cfg = Config.fromfile(path)
    cfg.model.backbone.init_cfg = None
    model = build_part(cfg, cfg.model).eval()
    model.dataset_meta = dict(classes=cfg.metainfo.classes)
    for layer in model.backbone.layers:
        for parameter in layer.attn.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    image = torch.randint(0, 256, (3, 128, 128), dtype=torch.uint8)
    meta = dict(ori_shape=(128, 128), img_shape=(128, 128), scale_factor=(1.0, 1.0), img_id=0)
    data = dict(inputs=[image], data_samples=[SAMPLES[kind](metainfo=meta)])

    taken = capture(model, data)

    assert taken.left.grid == (8, 8) and taken.token_sides == (16, 16)
    sets = torch.rand(3, taken.left.x.shape[1])
    explicit = roll_back_explicitly(taken.steps, sets, 'mean', 0.0)
    torch.testing.assert_close(roll_back(taken.steps, sets), explicit, rtol=1e-4, atol=1e-6)
    assert all(found.shape == (16, 16) for found in dense_rollout(model, data).values())
