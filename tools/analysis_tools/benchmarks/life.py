"""What TokenViT costs over mmpretrain's ViT, and LIFE over TokenViT, at DeiT-T's size."""

from functools import partial

from mmtoken.experiments.benchmark_models import build_classifier, classifier_loss
from mmtoken.experiments.benchmark_rows import Preset, Ratio, Row


def _row(kind: str) -> Row:
    # qkv_bias and the class token are the defaults of all three.
    backbone = dict(type=kind, arch='deit-tiny', patch_size=16)
    return Row(kind, partial(build_classifier, backbone), classifier_loss)


PRESET = Preset(
    title="DeiT-T: mmpretrain's VisionTransformer, TokenViT and LIFEViT",
    rows=[_row('VisionTransformer'), _row('TokenViT'), _row('LIFEViT')],
    ratios=[Ratio('TokenViT', 'VisionTransformer', 1.02), Ratio('LIFEViT', 'TokenViT', 1.12)],
    cases=[(224, 8), (512, 2)],
)
