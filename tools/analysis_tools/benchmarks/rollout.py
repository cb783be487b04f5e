"""What rolling a prediction back costs over the prediction, and matrices would, for DeiT-T."""

from collections.abc import Callable, Sequence
from functools import partial, reduce

from mmtoken.experiments.benchmark_models import build_classifier
from mmtoken.experiments.benchmark_rows import Preset, Ratio, Row
from mmtoken.rollout import capture, explicit_matrix, roll_back
from mmtoken.rollout.capture import Step
from mmtoken.rollout.explicit import roll_back_explicitly

import torch
from mmpretrain.structures import DataSample
from torch import Tensor, nn


def predict(model: nn.Module, images: Tensor) -> Tensor:
    """Let a classifier predict, as its own test loop does.

    Args:
        model: The classifier.
        images: (B, 3, height, width).

    Returns:
        The sum of its scores.
    """
    return sum(model.test_step(_data(image))[0].pred_score.sum() for image in images)


# (steps, sets (S, N)) → (S, N)
RollBack = Callable[[Sequence[Step], Tensor], Tensor]


@torch.no_grad()
def multiply_matrices(steps: Sequence[Step], sets: Tensor) -> Tensor:
    """The roll-out as it is defined (Abnar & Zuidema, arXiv 2005.00928): R, N×N, multiplied up
    layer by layer, no two layers' matrices at a time.
    """
    return sets @ reduce(lambda product, matrix: matrix @ product, map(explicit_matrix, steps))


def apply_matrices(steps: Sequence[Step], sets: Tensor) -> Tensor:
    """The sets taken back through one matrix at a time, R itself never formed."""
    return roll_back_explicitly(steps, sets, 'mean', 0.0)


def roll_out(
    model: nn.Module, images: Tensor, num_sets: int = 1, back: RollBack = roll_back
) -> Tensor:
    """Predict, and roll the prediction back for sets of tokens that share them out.

    Args:
        model: The classifier.
        images: (B, 3, height, width).
        num_sets: Number of sets, as of classes.
        back: What takes the sets back.

    Returns:
        The sum of the maps' largest values.
    """
    total = images.new_zeros(())
    for image in images:
        steps = capture(model, _data(image)).steps
        places = torch.arange(steps[0].tokens.x.shape[1], device=images.device)
        # (S, N)
        sets = (places % num_sets == torch.arange(num_sets, device=images.device)[:, None]).float()
        total += back(steps, sets).amax(dim=1).sum()
    return total


def _data(image: Tensor) -> dict:
    """What a data loader yields for one image."""
    return dict(inputs=[image], data_samples=[DataSample()])


_build = partial(build_classifier, dict(type='TokenViT', arch='deit-tiny', patch_size=16))
PRESET = Preset(
    title='DeiT-T: a prediction, alone and with its roll-out for sets of tokens',
    rows=[
        Row('forward', _build, predict),
        Row('roll-out, 1 set', _build, roll_out),
        Row('roll-out, 16 sets', _build, partial(roll_out, num_sets=16)),
        Row('matrix by matrix', _build, partial(roll_out, back=apply_matrices)),
        Row('explicit product', _build, partial(roll_out, back=multiply_matrices)),
    ],
    # Three forward passes, and two more for each set; a fifth of the memory.
    ratios=[
        Ratio('roll-out, 1 set', 'forward', 5.0),
        Ratio('roll-out, 16 sets', 'forward', 35.0),
        Ratio('matrix by matrix', 'forward'),
        Ratio('explicit product', 'forward'),
        Ratio('roll-out, 1 set', 'matrix by matrix', of='memory'),
        Ratio('roll-out, 1 set', 'explicit product', 0.2, of='memory'),
        Ratio('roll-out, 16 sets', 'explicit product', 0.2, of='memory'),
    ],
    # 64 x 64 patches
    cases=[(1024, 1)],
    modes=['infer'],
)
