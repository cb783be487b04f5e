"""What a label for every patch costs a training step of LV-ViT-S, K = 1000."""

from functools import partial

from mmtoken.experiments.benchmark_rows import Preset, Ratio, Row

import torch
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor, nn

CLASSES, GRID, TOP_K = 1000, 18, 5


def build(img_size: int, dense_weight: float) -> nn.Module:
    """LV-ViT-S that mixes tokens.

    Args:
        img_size: Height and width in pixels.
        dense_weight: β; 0 trains the class token alone, and reads no maps.

    Returns:
        The classifier.
    """
    head = dict(type='TokenLabelHead', num_classes=CLASSES, in_channels=384)
    return MODELS.build(
        dict(
            type='TokenLabelClassifier',
            backbone=dict(type='LVViT', arch='small', img_size=img_size, out_type='raw'),
            head=dict(head, dense_weight=dense_weight),
            class_target='maps' if dense_weight else 'label',
        )
    )


def loss(model: nn.Module, images: Tensor) -> Tensor:
    """The losses of images with maps as the released annotator's, or their sum of scores.

    Args:
        model: The classifier.
        images: (B, 3, height, width).

    Returns:
        A scalar.
    """
    if not model.training:
        return model(images, mode='tensor')[0].sum()
    draw = torch.Generator().manual_seed(0)
    samples = []
    for index in range(len(images)):
        sample = DataSample().set_gt_label(index % 10)
        values = torch.randn(TOP_K, GRID, GRID, generator=draw).half()
        ids = torch.randint(CLASSES, values.shape, generator=draw, dtype=torch.int16)
        sample.set_field(values, 'token_label')
        sample.set_field(ids, 'token_label_ids')
        # Where RandomResizedCrop may have taken it.
        sample.set_field(torch.tensor([[0.6, 0, 0.2], [0, 0.6, 0.3]]), 'token_label_source')
        sample.set_field('logit', 'token_label_kind', field_type='metainfo')
        samples.append(sample.to(images.device))
    return sum(model(images, samples, mode='loss').values())


PRESET = Preset(
    title='LV-ViT-S with MixToken: the class token alone, and every patch, trained',
    rows=[
        Row('image labels', partial(build, dense_weight=0.0), loss),
        Row('token labels', partial(build, dense_weight=1.0), loss),
    ],
    ratios=[Ratio('token labels', 'image labels', 1.05)],
    cases=[(224, 8)],
    modes=['train'],
)
