"""LV-ViT, its head, MixToken and the losses compute what the released code computed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmpretrain.registry import MODELS

from mmtoken.convert import convert_state_dict, fold_residual_scale
from mmtoken.lv_vit import TokenLabelClassifier
from mmtoken.lv_vit.token_label_classifier import blend
from mmtoken.mixing import Mixed

REFERENCES = Path(__file__).resolve().parents[1] / 'data' / 'references'
CLASSES = 6


@pytest.fixture(params=['lv_vit_1.npz', 'lv_vit_2.npz'])
def reference(request):
    """The arrays of one file by group and name."""
    groups: dict[str, dict] = {}
    with np.load(REFERENCES / request.param) as arrays:
        for key in arrays.files:
            group, _, name = key.partition('/')
            value = np.asarray(arrays[key])
            if value.dtype.kind != 'U':
                groups.setdefault(group, {})[name] = torch.from_numpy(value)
    return groups


def build(reference, **options) -> TokenLabelClassifier:
    meta = {name: value.item() for name, value in reference['meta'].items()}
    backbone = dict(
        type='LVViT',
        arch=dict(
            embed_dims=meta['embed_dims'],
            num_layers=meta['depth'],
            num_heads=meta['num_heads'],
            feedforward_channels=meta['mlp_ratio'] * meta['embed_dims'],
        ),
        img_size=meta['img_size'],
        patch_size=meta['patch_size'],
        residual_scale=options.pop('residual_scale', meta['skip_lam']),
        out_type='raw',
    )
    head = dict(
        type='TokenLabelHead', num_classes=CLASSES, in_channels=meta['embed_dims'], **options
    )
    return MODELS.build(dict(type='TokenLabelClassifier', backbone=backbone, head=head)).eval()


def load(model, reference):
    model.load_state_dict(convert_state_dict(reference['state'], 'lv-vit'), strict=True)
    return model


@pytest.fixture
def model(reference):
    return load(build(reference), reference)


@pytest.fixture
def mixed(reference) -> Mixed:
    """The batch with the file's box of tokens exchanged."""
    images, side = reference['input']['image'], reference['meta']['img_size'].item() // 16
    top, left, bottom, right = reference['input']['mix_box'].tolist()
    mask = torch.zeros(1, side, side, dtype=torch.bool)
    mask[:, top:bottom, left:right] = True
    lam = (1 - mask.float().mean()).expand(len(images))
    return Mixed(images, mask.expand(len(images), -1, -1), lam, in_pixels=False)


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5)


def test_evaluation_logits_agree(reference, model):
    close(model(reference['input']['image']), reference['output']['eval_logits'])


def test_folded_weights_compute_the_same(reference, model):
    scale = reference['meta']['skip_lam'].item()
    folded = build(reference, residual_scale=1.0)
    folded.load_state_dict(fold_residual_scale(model.state_dict(), scale), strict=True)

    image = reference['input']['image']
    torch.testing.assert_close(folded(image), model(image), rtol=0, atol=1e-6)


@pytest.mark.parametrize(('dtype', 'tolerance'), [(torch.float32, 1e-6), (torch.float64, 1e-14)])
def test_folded_weights_of_an_odd_scale_are_the_same_but_for_rounding(dtype, tolerance):
    torch.manual_seed(0)
    # The depth and λ of L, of whose third no float is.
    arch = dict(embed_dims=48, num_layers=24, num_heads=3, feedforward_channels=144)
    options = dict(type='LVViT', arch=arch, img_size=32)
    scaled = MODELS.build(dict(options, residual_scale=3.0)).to(dtype).eval()
    for parameter in scaled.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    folded = MODELS.build(options).to(dtype).eval()
    folded.load_state_dict(fold_residual_scale(scaled.state_dict(), 3.0), strict=True)
    images = torch.randn(2, 3, 32, 32, dtype=dtype)

    (expected,), (found,) = scaled(images), folded(images)

    assert (found - expected).abs().max() < tolerance * expected.abs().max()


def test_mixed_logits_agree(reference, model, mixed):
    feats, _ = model.align(mixed)

    scores, patches = model.head.classify(feats)

    close(scores, reference['output']['mixed_cls_logits'])
    # Back to the images that they are of, as the released code has them.
    unmixed = torch.where(mixed.mask.flatten(1)[:, :, None], patches.flip(0), patches)
    close(unmixed, reference['output']['unmixed_patch_logits'])


@pytest.mark.parametrize(('beta', 'name'), [(1.0, 'loss_beta_1'), (0.5, 'loss_beta_half')])
def test_losses_agree(reference, mixed, beta, name):
    model = load(build(reference, dense_weight=beta), reference)
    label, whole, patches = reference['input']['token_label'].split(
        [1, 1, reference['input']['token_label'].shape[2] - 2], dim=2
    )
    target = whole.squeeze(2)
    if reference['meta']['ground_truth']:
        target = blend(target, label.squeeze(2))

    losses = model.mixed_loss(mixed, target, patches.transpose(1, 2))

    close(sum(losses.values()), reference['output'][name])
