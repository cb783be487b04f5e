"""Which patches of an image show the object that it is labeled with."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from mmpretrain.models import ImageClassifier
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmtoken.checks import check_number, check_probability, check_whole
from mmtoken.datasets.label_maps import maps_of, patch_targets
from mmtoken.errors import UserError
from mmtoken.tokens import Tokens
from mmtoken.vit import TokenViT

from .evidence import Place, evidence_of, run_watched

# Maps are sampled in float32: neighbors of a cell get a few millionths of it.
ROUNDING = 1e-4


@dataclass(frozen=True)
class Foreground:
    """The foreground of a batch.

    Args:
        share: Of each patch of the embedding's grid, (B, H·W), from 0 to 1.
        known: Of which images something is known that a loss can use, (B,) boolean.
    """

    share: Tensor
    known: Tensor

    def at(self, backbone: TokenViT, grid: tuple[int, int], layer: int) -> Tensor:
        """Of the patches that leave a layer, (B, H′·W′): fewer where tokens were pooled.

        Args:
            backbone: The backbone.
            grid: (H, W) of the embedding.
            layer: Index from 0.
        """
        return backbone.pool_trace(self.share.unsqueeze(-1), grid, layer).squeeze(-1)

    def of(self, chosen: Tensor) -> Foreground:
        """Of some images, (B,) boolean."""
        return Foreground(self.share[chosen], self.known[chosen])


class ForegroundSource(nn.Module):
    """What says where the foreground of images is; the base of those below."""

    # The model that judges, where there is one.
    frozen: ImageClassifier | None = None

    def remember(self, classifier: ImageClassifier) -> None:
        """Keep what it wants of a classifier as it is before it is calibrated: nothing."""

    def forget(self) -> None:
        """Let it go."""

    def forward(
        self,
        inputs: Tensor,
        data_samples: list[DataSample],
        labels: Tensor,
        grid: tuple[int, int],
        patch_size: int | None = None,
    ) -> Foreground:
        """The foreground of a batch.

        Args:
            inputs: The images, (B, C, height, width).
            data_samples: What was loaded with them.
            labels: (B,).
            grid: (H, W) of the patches.
            patch_size: Side of a patch in pixels; by default the patches end with the image.
        """
        raise NotImplementedError


@MODELS.register_module()
class SuppliedForeground(ForegroundSource):
    """From label maps that `LoadTokenLabels` brings, made of masks or boxes with
    `tools/dataset_converters/make_token_labels.py --from-masks`: patches that show the image's own
    class. Other objects are background to it.

    Args:
        threshold: Share of a patch that its class covers, interpolated between the cells of the
            map, above which the patch is foreground; with 0 any part of it is enough, as in
            Transformer Doctor.
    """

    def __init__(self, threshold: float = 0.0) -> None:
        super().__init__()
        check_probability('threshold', threshold)
        self.threshold = threshold

    def forward(
        self,
        inputs: Tensor,
        data_samples: list[DataSample],
        labels: Tensor,
        grid: tuple[int, int],
        patch_size: int | None = None,
    ) -> Foreground:
        """As of `ForegroundSource`; of `data_samples` with label maps, and the images not read.

        Raises:
            UserError: If there are no maps, or some of an annotator, which are no areas.
        """
        span = None if patch_size is None else (grid[0] * patch_size, grid[1] * patch_size)
        maps = maps_of(data_samples, span)
        if maps.kind != 'share':
            raise UserError(
                'SuppliedForeground got label maps of an annotator, whose scores are no areas; '
                'make maps with --from-masks, or use AutomaticForeground'
            )
        # Two classes: the image's own, and what is not it.
        own = dataclasses.replace(maps, ids=(maps.ids != labels.view(-1, 1, 1, 1)).long())
        share = patch_targets(own, grid, 2)[1][..., 0]
        share = (share > self.threshold + ROUNDING).float()
        # Where the crop has lost the object, or shows nothing else, there is nothing to learn.
        return Foreground(share, share.any(dim=1) & ~share.all(dim=1))


@MODELS.register_module()
class AutomaticForeground(ForegroundSource):
    """From the model itself, as it was before it was calibrated: where its true class's relevance
    comes from, by attention roll-out; only for images that it classifies confidently and correctly
    (our design, after RobustViT). A shortcut that the model takes already is not found this way.

    The relevance of the last layer's tokens, before it for the class token, is taken back to the
    image by the gradient of a trace, so that no N×N matrix is formed.

    Args:
        mass: Share of the relevance that the foreground, the smallest such set of patches, holds.
        dilation: Side of the square by which it is then dilated, odd; 1 leaves it.
        confidence: Least probability of the true class.
    """

    def __init__(self, mass: float = 0.6, dilation: int = 3, confidence: float = 0.7) -> None:
        super().__init__()
        check_number('mass', mass, above=0, example=0.6)
        check_whole('dilation', dilation, example=3)
        check_probability('confidence', confidence)
        if mass > 1 or dilation % 2 == 0:
            raise UserError(
                f'mass {mass} and dilation {dilation} make no foreground; '
                'use a mass up to 1 and an odd dilation, such as 0.6 and 3'
            )
        self.mass = mass
        self.dilation = dilation
        self.confidence = confidence
        # Not registered, lest its weights become the trained model's.
        self._frozen: list[ImageClassifier] = []

    def forget(self) -> None:
        """Let the copy go."""
        self._frozen = []

    @property
    def frozen(self) -> ImageClassifier | None:
        """The model that judges."""
        return self._frozen[0] if self._frozen else None

    def remember(self, classifier: ImageClassifier) -> None:
        """Keep a copy of a classifier as it is now."""
        # An earlier copy would be copied with it.
        self._frozen = []
        self._frozen = [copy.deepcopy(classifier).eval().requires_grad_(False)]

    def forward(
        self,
        inputs: Tensor,
        data_samples: list[DataSample],
        labels: Tensor,
        grid: tuple[int, int],
        patch_size: int | None = None,
    ) -> Foreground:
        """As of `ForegroundSource`; reads the images alone.

        Raises:
            UserError: If no classifier was remembered.
        """
        if self.frozen is None:
            raise UserError(
                'AutomaticForeground has no model to ask; add CalibrationHook to custom_hooks'
            )
        relevance, scores = patch_relevance(self.frozen.to(inputs.device), inputs, labels)
        probability = scores.softmax(dim=1).gather(1, labels[:, None]).squeeze(1)
        known = (probability >= self.confidence) & (scores.argmax(dim=1) == labels)
        share = _dilate(_heaviest(relevance, self.mass), grid, self.dilation)
        return Foreground(share, known & ~share.all(dim=1) & (relevance.sum(dim=1) > 0))


def patch_relevance(
    classifier: ImageClassifier, inputs: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """Where the relevance of a class comes from.

    Args:
        classifier: With a backbone of the `TokenViT` family, in evaluation mode.
        inputs: (B, C, height, width).
        labels: The classes asked about, (B,).

    Returns:
        (B, H·W) over the embedding's patches, ≥ 0, and the scores (B, K).
    """
    backbone = classifier.backbone
    layer = last_informative_layer(backbone)
    place = Place('tokens', layer)
    with torch.enable_grad(), torch.autocast(inputs.device.type, enabled=False):
        tokens = backbone.embed(inputs.float() if inputs.dtype.itemsize < 4 else inputs)
        count = tokens.x.shape[1]
        trace = tokens.x.new_zeros(len(inputs), count, 1, requires_grad=True)
        tokens = backbone.run(tokens.start_trace(trace, True), 0, layer + 1)
        rolled = tokens.trace
        features = tokens.x.detach().requires_grad_()
        left, kept = run_watched(
            backbone, tokens.with_(x=features, trace=None), layer + 1, [place], False
        )
        scores = scores_of(classifier, left)
        chosen = scores.gather(1, labels[:, None]).squeeze(1)
        found = evidence_of(chosen, kept, [place], tokens.num_aux, False).relevance(place)
        weights = found.sum(dim=2, keepdim=True)
        weights[:, : tokens.num_aux] = 0
        (relevance,) = torch.autograd.grad((weights * rolled).sum(), trace)
    return relevance[:, tokens.num_aux :, 0], scores.detach()


def last_informative_layer(backbone: TokenViT) -> int:
    """The last layer whose patch tokens a score depends on: not the last one for class tokens."""
    return backbone.num_running - 1 - (backbone.out_type == 'cls_token')


def scores_of(classifier: ImageClassifier, tokens: Tokens) -> Tensor:
    """The scores of tokens that left the last layer, (B, K)."""
    return classifier.head(features_of(classifier, tokens))


def features_of(classifier: ImageClassifier, tokens: Tokens) -> tuple:
    """What the head gets of tokens that left the last layer."""
    backbone = classifier.backbone
    feats = (backbone.output(tokens, backbone.num_running - 1),)
    return classifier.neck(feats) if classifier.with_neck else feats


def _heaviest(weights: Tensor, mass: float) -> Tensor:
    """The fewest patches that hold a share of the weight, (B, H·W), as 0 and 1."""
    sorted_weights, order = weights.sort(dim=1, descending=True)
    total = weights.sum(dim=1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)
    before = (sorted_weights.cumsum(dim=1) - sorted_weights) / total
    return torch.zeros_like(weights).scatter(1, order, (before < mass).to(weights.dtype))


def _dilate(share: Tensor, grid: tuple[int, int], side: int) -> Tensor:
    maps = share.unflatten(1, grid).unsqueeze(1)
    return F.max_pool2d(maps, side, stride=1, padding=side // 2).flatten(1)
