"""The classifier computes what the released code of TL-Align computed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS

from mmtoken.convert import convert_state_dict
from mmtoken.mixing import Mixed
from mmtoken.mixing.mixed_classifier import targets
from mmtoken.tl_align import TLAlignClassifier

REFERENCES = Path(__file__).resolve().parents[1] / 'data' / 'references'


@pytest.fixture(params=['tl_align_1.npz', 'tl_align_2.npz'])
def reference(request):
    """The arrays of one file by group and name."""
    groups: dict[str, dict] = {}
    with np.load(REFERENCES / request.param) as arrays:
        for key in arrays.files:
            group, _, name = key.partition('/')
            groups.setdefault(group, {})[name] = torch.from_numpy(np.asarray(arrays[key]))
    return groups


@pytest.fixture
def model(reference) -> TLAlignClassifier:
    """The classifier with the released weights."""
    meta = {name: value.item() for name, value in reference['meta'].items()}
    model = MODELS.build(
        dict(
            type='TLAlignClassifier',
            backbone=dict(
                type='TokenViT',
                arch=dict(
                    embed_dims=meta['embed_dims'],
                    num_layers=meta['depth'],
                    num_heads=meta['num_heads'],
                    feedforward_channels=4 * meta['embed_dims'],
                ),
                img_size=meta['img_size'],
                patch_size=meta['patch_size'],
            ),
            head=dict(
                type='VisionTransformerClsHead',
                num_classes=7,
                in_channels=meta['embed_dims'],
                loss=dict(type='LabelSmoothLoss', label_smooth_val=meta['label_smoothing']),
            ),
        )
    )
    model.load_state_dict(convert_state_dict(reference['state'], source='tl-align'), strict=True)
    return model


@pytest.fixture
def mixed(reference) -> Mixed:
    """The mixed batch of the file."""
    given, batch = reference['input'], len(reference['input']['target'])
    side = int(len(given['mask']) ** 0.5)
    mask = given['mask'].bool().view(1, side, side).expand(batch, -1, -1)
    return Mixed(given['mixed_image'], mask, given['lam'].float().expand(batch))


@pytest.fixture
def scores(reference) -> torch.Tensor:
    """The labels as scores."""
    return torch.nn.functional.one_hot(reference['input']['target'], 7).float()


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)


def test_logits_agree(reference, model, mixed):
    feats, _ = model.align(mixed)

    close(model.head(feats), reference['output']['logits'])


def test_aligned_target_agrees(reference, model, mixed, scores):
    _, weights = model.align(mixed)

    (target,) = targets(scores, weights)

    model.head.loss_module.num_classes = 7
    close(model.head.loss_module.smooth_label(target), reference['output']['aligned_target'])


def test_loss_agrees(reference, model, mixed, scores):
    close(model.mixed_loss(mixed, scores)['loss'], reference['output']['loss'])


def test_mixed_images_agree(reference, model, mixed, monkeypatch):
    mask = mixed.mask[:1].numpy()
    monkeypatch.setattr(model.mixer, '_draw', lambda *_: mask)

    ours = model.mixer.mix(reference['input']['image'])

    assert torch.equal(ours.images, mixed.images)
    close(ours.lam, mixed.lam)
