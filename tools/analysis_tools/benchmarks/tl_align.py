"""What aligned targets cost over CutMix's, and K-channel labels would, at DeiT-T's size."""

from functools import partial
from typing import Any

from mmtoken.experiments.benchmark_models import build_classifier, classifier_loss
from mmtoken.experiments.benchmark_rows import Preset, Ratio, Row
from mmtoken.mixing import Mixed
from mmtoken.tl_align import TLAlignClassifier
from mmtoken.tokens import Tokens
from mmtoken.vit import TokenAttention
from mmtoken.vit.attention_map import AttentionMap

import torch
from torch import Tensor


class ExplicitMap(AttentionMap):
    """A map that is formed, and mixes the trace by a product of its own."""

    def attend(
        self, v: Tensor, tokens: Tokens, dropout: float = 0.0
    ) -> tuple[Tensor, Tensor | None]:
        # (B, h, N, N)
        attention = (self.q @ self.k.transpose(-2, -1) * self.q.shape[-1] ** -0.5).softmax(dim=-1)
        return attention @ v, attention.detach().mean(dim=1) @ tokens.trace


class ExplicitAttention(TokenAttention):
    """Attention whose map is an `ExplicitMap`."""

    def map_and_values(self, tokens: Tokens) -> tuple[AttentionMap, Tensor]:
        seen, values = super().map_and_values(tokens)
        return ExplicitMap(seen.q, seen.k), values


class KChannelClassifier(TLAlignClassifier):
    """TL-Align as released: every token carries the K-channel label itself (Euphoria16/TL-Align).

    Args:
        *args: As of `TLAlignClassifier`.
        **kwargs: As of `TLAlignClassifier`.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        for layer in self.backbone.layers:
            layer.attn.__class__ = ExplicitAttention

    def mixed_loss(self, mixed: Mixed, scores: Tensor) -> dict[str, Tensor]:
        """The head's loss with the label that the class token ends with.

        Args:
            mixed: The mixed batch.
            scores: Labels of the images before they were mixed, (B, K).

        Returns:
            `dict(loss=…)`.
        """
        partners = scores.flip(0)
        aux = torch.lerp(partners, scores, mixed.lam[:, None])
        # (B, H·W, 1) and (B, 1, K) → (B, H·W, K)
        patches = torch.where(mixed.mask.flatten(1)[..., None], partners[:, None], scores[:, None])
        feats, labels = self.backbone(mixed.images, torch.cat([aux[:, None], patches], dim=1))
        loss = self.head.loss_module(self.head(feats), labels[:, 0], avg_factor=len(labels))
        return dict(loss=loss)


def _row(name: str, kind: str | type, **options: Any) -> Row:
    backbone = dict(type='TokenViT', arch='deit-tiny', patch_size=16)
    model = dict(type=kind, **options)
    return Row(name, partial(build_classifier, backbone, model=model), classifier_loss)


PRESET = Preset(
    title='DeiT-T: CutMix, TL-Align, and TL-Align with K = 1000 label channels',
    rows=[
        _row('CutMix', 'TLAlignClassifier', target='cutmix'),
        _row('TL-Align', 'TLAlignClassifier'),
        _row('TL-Align, K channels', KChannelClassifier),
    ],
    # 224 and 512 px are 197 and 1,025 tokens.
    ratios=[
        Ratio('TL-Align', 'CutMix', {224: 1.05, 512: 1.15}),
        Ratio('TL-Align, K channels', 'CutMix'),
    ],
    cases=[(224, 8), (512, 2)],
)
