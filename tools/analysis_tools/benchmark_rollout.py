"""What the roll-out benchmark times: a prediction, and roll-outs of it by trace and by matrices."""

from mmtoken.rollout import capture, roll_back
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


def roll_out(model: nn.Module, images: Tensor, num_sets: int = 1, explicit: bool = False) -> Tensor:
    """Predict, and roll the prediction back for sets of tokens that share them out.

    Args:
        model: The classifier.
        images: (B, 3, height, width).
        num_sets: Number of sets, as of classes.
        explicit: Whether N×N matrices are formed.

    Returns:
        The sum of the maps' largest values.
    """
    total = images.new_zeros(())
    for image in images:
        steps = capture(model, _data(image)).steps
        places = torch.arange(steps[0].tokens.x.shape[1], device=images.device)
        # (S, N)
        sets = (places % num_sets == torch.arange(num_sets, device=images.device)[:, None]).float()
        rolled = (
            roll_back_explicitly(steps, sets, 'mean', 0.0) if explicit else roll_back(steps, sets)
        )
        total += rolled.amax(dim=1).sum()
    return total


def _data(image: Tensor) -> dict:
    """What a data loader yields for one image."""
    return dict(inputs=[image], data_samples=[DataSample()])
