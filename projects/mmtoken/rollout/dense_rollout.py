"""Dense Attention Roll-Out: one map a class of where its tokens looked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mmtoken.errors import UserError, near_miss

from .capture import Capture, capture
from .explicit import check_fusion, roll_back_explicitly
from .roll import roll_back
from .token_sets import TokenSet, find_token_sets


@dataclass
class InstanceMap:
    """Where the tokens of one detected instance looked.

    Args:
        label: Class index.
        score: Of the detection.
        box: Left, top, right, bottom, pixels of the original image.
        map: (H, W).
    """

    label: int
    score: float
    box: list[float]
    map: Tensor


class ClassMaps(dict):
    """{class: (H, W) map}, and beside it the maps of the detected instances.

    Args:
        maps: The maps.
        instances: Those of the detected instances of these classes, best first; empty where nothing
            was detected.
        capture: The prediction they belong to.
    """

    def __init__(
        self, maps: dict[int | str, Tensor], instances: list[InstanceMap], capture: Capture
    ) -> None:
        super().__init__(maps)
        self.instances = instances
        self.capture = capture


def dense_rollout(
    model: nn.Module,
    data: dict,
    classes: Sequence[int | str] | None = None,
    weights: str = 'hard',
    *,
    layers: tuple[int, int] | None = None,
    head_fusion: str = 'mean',
    discard_ratio: float = 0.0,
    score_threshold: float = 0.3,
    stage: int | None = None,
) -> ClassMaps:
    """Class-specific attention maps of a segmentor, a detector or a classifier.

    M_c(j) = Σ_i s_i·R_ij / Σ_i s_i: the mean, over the output tokens i assigned to class c, of how
    much token i draws on input patch j. R = ½(Ā_L + I) … ½(Ā_1 + I) is the roll-out over the layers
    (Abnar & Zuidema, arXiv 2005.00928), Ā_l the head-mean of the attention; the means that pooling
    takes are factors, too. Columns of auxiliary tokens are dropped, so a map sums to at most 1.
    LIFE's abstract (arXiv 2305.08551) names the method; this definition is our design.

    One forward pass, and one pass back by the gradient of the trace for all classes together, with
    no more than a part of an N×N matrix at a time, unless the heads are fused otherwise than by
    their mean or attention is discarded.

    Args:
        model: An mmsegmentation segmentor, mmdet detector or mmpretrain classifier over a backbone
            of the `TokenViT` family, or a pyramid that attends.
        data: One image, as the model's test data loader yields it (`inputs` and `data_samples`).
        classes: Class indices, or names where the model has `dataset_meta`; None for all that the
            model predicts in this image.
        weights: 'hard': a token counts for the class it is assigned to. 'soft': it counts for every
            class by its probability, or the covered share of it (`find_token_sets`).
        layers: First and last layer of the roll-out, both included, attention of the others taken
            for the identity; negatives count from the last one that ran; None for all that ran.
        head_fusion: 'mean', 'min' or 'max' over the heads.
        discard_ratio: Share of each token's attention weights, the weakest, that is discarded.
        score_threshold: Detections below it do not count.
        stage: Of a pyramid, the stage whose tokens are rolled out; the last that runs by default.

    Returns:
        {class: (H, W) map} over all patches, padding included, keyed as in `classes`, by
        index where that is None; the maps of the single detections are in `.instances`. `upsample`
        brings a map onto the image.

    Raises:
        UserError: If the backbone is none of the family, the model cannot take the image, a class
            is absent from the prediction, or an option has no meaning.
    """
    check_fusion(head_fusion, discard_ratio)
    taken = capture(model, data, stage)
    sets = find_token_sets(taken, weights, score_threshold)
    chosen = choose_classes(taken, sets.classes, classes)
    labels = {found.label for found in chosen.values()}
    instances = sorted(
        (found for found in sets.instances if found.label in labels), key=lambda s: -s.score
    )
    maps = roll_maps(taken, [*chosen.values(), *instances], layers, head_fusion, discard_ratio)
    by_class = dict(zip(chosen, maps, strict=False))
    by_instance = [
        InstanceMap(found.label, found.score, found.box, rolled)
        for found, rolled in zip(instances, maps[len(chosen) :], strict=True)
    ]
    return ClassMaps(by_class, by_instance, taken)


def roll_maps(
    taken: Capture,
    sets: Sequence[TokenSet],
    layers: tuple[int, int] | None = None,
    head_fusion: str = 'mean',
    discard_ratio: float = 0.0,
) -> Tensor:
    """The maps of token sets, (S, H, W); arguments as of `dense_rollout`."""
    steps = taken.select(layers)
    entered = steps[0].tokens
    if not sets:
        return entered.x.new_zeros(0, *entered.grid)
    weights = torch.stack([found.weights for found in sets])
    if head_fusion == 'mean' and discard_ratio == 0:
        rolled = roll_back(steps, weights)
    else:
        rolled = roll_back_explicitly(steps, weights, head_fusion, discard_ratio)
    # (S, A + H·W) → (S, H, W)
    return rolled[:, entered.num_aux :].unflatten(1, entered.grid)


def class_names(model: nn.Module) -> list[str]:
    """The names of a model's classes; empty where it does not know them."""
    meta = getattr(model, 'dataset_meta', None) or {}
    return list(meta.get('classes') or meta.get('CLASSES') or ())


def class_label(names: Sequence[str], asked: int | str) -> int:
    """The index of a class that is asked for by index or name.

    Raises:
        UserError: If no class has the name.
    """
    if isinstance(asked, str) and asked not in names:
        hint = near_miss(asked, names)
        raise UserError(
            f'class {asked!r} is not one of the model'
            + (f'{hint or ": it has " + ", ".join(names)}' if names else
               ', which knows no names: give class indices')
        )  # fmt: skip
    return names.index(asked) if isinstance(asked, str) else asked


def choose_classes(
    taken: Capture, found: dict[int, TokenSet], classes: Sequence[int | str] | None
) -> dict[int | str, TokenSet]:
    """The token sets of the classes that are asked for, keyed as they are asked for.

    Raises:
        UserError: If a class is unknown or absent from the prediction.
    """
    if classes is None:
        return dict(found)
    names = class_names(taken.model)
    chosen = {}
    for asked in classes:
        label = class_label(names, asked)
        if label not in found:
            present = [f'{c} ({names[c]})' if c < len(names) else str(c) for c in found]
            advice = (
                f'{", ".join(present)}; ask for one of these, or leave classes out to get them all'
                if present
                else 'no class at all; lower score_threshold, or give another image'
            )
            raise UserError(f'class {asked!r} is absent from the prediction, which has {advice}')
        chosen[asked] = found[label]
    return chosen
