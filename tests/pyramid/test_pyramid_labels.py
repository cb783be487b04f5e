"""Labels follow their tokens through windows, beside padding and in training."""

import pytest
import torch
import torch.nn.functional as F
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from small_swin import ARCH, build, images

from mmtoken.mixing import Mixed, PatchCutMix
from mmtoken.swin import SwinV2
from mmtoken.tokens import Tokens


def classifier(**options):
    torch.manual_seed(0)
    model = MODELS.build(
        dict(
            type='TLAlignClassifier',
            backbone=dict(type='Swin', arch=ARCH, img_size=64, window_size=4, drop_path_rate=0.0),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=5, in_channels=48,
                      loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original')),
            **options,
        )
    )  # fmt: skip
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model.train()


@pytest.mark.parametrize('target', ['tl_align', 'transmix', 'cutmix'])
def test_a_classifier_trains_with_labels_that_follow(target):
    model = classifier(target=target)
    samples = [DataSample().set_gt_label(label) for label in (0, 3, 2, 1)]

    losses = model.loss(images(batch=4), samples)
    losses['loss'].backward()

    assert losses['loss'].isfinite()
    assert all(p.grad is not None for p in model.parameters())


def test_labels_end_where_the_backbone_takes_them():
    model = classifier(mix=dict(type='PatchCutMix', prob=1.0))
    mixed: Mixed = PatchCutMix(4).mix(images(batch=4))
    own = 1 - mixed.mask.flatten(1).float().unsqueeze(-1)

    with torch.no_grad():
        _, weights = model.align(mixed)
        _, trace = model.backbone(mixed.images, own)

    torch.testing.assert_close(weights, trace.mean(dim=1))
    # Attention and merging are averages.
    assert (weights >= 0).all() and (weights <= 1).all()
    assert not torch.allclose(weights.squeeze(1), mixed.lam)


@pytest.mark.parametrize('dtype', [torch.float32, torch.bfloat16])
@pytest.mark.parametrize('gap', [8.0, 20.0, 400.0])
def test_labels_beside_padding_that_takes_the_attention_stay_labels(dtype, gap):
    attention = build(window_size=7, pad_small_map=True).stages[0].blocks[0].attn
    channels, head = 12, 6
    with torch.no_grad():
        qkv = attention.w_msa.qkv
        qkv.weight.zero_(), qkv.bias.zero_()
        attention.w_msa.relative_position_bias_table.zero_()
        # Scores of padded keys, which are the bias alone, are +gap/2, those of the others −gap/2.
        key = (gap / 2 / head**0.5) ** 0.5
        qkv.bias[: 2 * channels] = key
        qkv.weight[channels : 2 * channels] = -2 * key / channels
    own = torch.rand(2, 64, 1, generator=torch.Generator().manual_seed(4))
    tokens = Tokens(torch.ones(2, 64, channels), (8, 8), 0, own)
    with torch.autocast('cpu', torch.bfloat16, enabled=dtype is torch.bfloat16), torch.no_grad():
        trace = attention(tokens).trace

    # Tokens that are there are alike, and see each other; or, beside too much padding, none.
    maps, sides = own.view(2, 8, 8).clone(), (slice(0, 7), slice(7, 8))
    for rows in sides:
        for columns in sides:
            if gap < 100 or rows == columns == sides[0]:
                window = maps[:, rows, columns]
                window.lerp_(window.mean(dim=(1, 2), keepdim=True), 0.5)
    torch.testing.assert_close(trace, maps.view(2, 64, 1), atol=1e-4, rtol=0)


def test_a_trace_in_its_own_type_meets_added_masks_of_a_coarser_one():
    backbone = build().bfloat16()
    own = torch.rand(2, 256, 1, generator=torch.Generator().manual_seed(2))
    _, trace = backbone(images().bfloat16(), own, exact_trace=True)

    assert trace.dtype == torch.float32 and trace.isfinite().all()


def draw_labels(tokens):
    return torch.rand(2, tokens, 2, generator=torch.Generator().manual_seed(6))


@pytest.mark.parametrize('size', [(64, 64), (50, 86)])
@pytest.mark.parametrize('kind', ['Swin', 'SwinV2'])
def test_labels_are_the_same_in_training_as_without_gradients(kind, size):
    options = dict(window_size=4, pad_small_map=True)
    backbone = (
        build(**options) if kind == 'Swin' else SwinV2(arch=ARCH, img_size=64, **options).eval()
    )
    own = draw_labels(-(-size[0] // 4) * -(-size[1] // 4))
    with torch.no_grad():
        _, expected = backbone(images(*size), own)

    _, trace = backbone(images(*size), own)

    assert not trace.requires_grad
    torch.testing.assert_close(trace, expected, atol=1e-6, rtol=0)


def test_labels_of_training_go_through_the_attention_that_features_have_formed(monkeypatch):
    calls, fused = [], F.scaled_dot_product_attention

    def spy(*args, **kwargs):
        calls.append(args)
        return fused(*args, **kwargs)

    monkeypatch.setattr(F, 'scaled_dot_product_attention', spy)
    backbone = build().train()

    (out,), _ = backbone(images(), draw_labels(256))
    out.sum().backward()

    assert not calls
