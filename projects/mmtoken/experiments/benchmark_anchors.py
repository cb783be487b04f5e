"""What the benchmark compares the package with: methods as their released code computes them."""

import torch
from torch import Tensor

from mmtoken.tl_align import Mixed, TLAlignClassifier
from mmtoken.tokens import Tokens
from mmtoken.vit import TokenAttention


class ExplicitAttention(TokenAttention):
    """Attention whose full matrix is formed, and mixes the trace by a product of its own."""

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, tokens: Tokens) -> tuple[Tensor, Tensor]:
        # (B, h, N, N)
        attention = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1)
        return attention @ v, attention.detach().mean(dim=1) @ tokens.trace


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
