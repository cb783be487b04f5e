"""What the roll-out benchmark times: a prediction, and roll-outs of it by trace and by matrices."""

from collections.abc import Callable, Sequence
from functools import reduce

import torch
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmtoken.rollout import capture, explicit_matrix, roll_back
from mmtoken.rollout.capture import Step
from mmtoken.rollout.explicit import roll_back_explicitly


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
