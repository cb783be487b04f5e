"""Random heads first, the pre-trained backbone after."""

from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS
from torch import nn

from mmtoken.checks import check_whole
from mmtoken.errors import UserError
from mmtoken.unwrap import unwrap


@HOOKS.register_module()
class HeadsFirstHook(Hook):
    """Keep the backbone as it is for the first iterations, so that the gradients of heads which
    know nothing yet do not undo what it was pre-trained for (linear probing, then fine-tuning:
    Kumar et al., arXiv 2202.10054; detectors and segmentors are our design).

    Its parameters get no gradient for so long and are skipped by the optimizer; learning rates go
    on as scheduled. Training on several devices needs `find_unused_parameters=True`.

    Args:
        iters: Iterations of the neck and heads alone.

    Raises:
        UserError: If `iters` is no whole number from 1 up, or the model has no backbone.
    """

    def __init__(self, iters: int) -> None:
        check_whole('iters', iters, example=200)
        self.iters = iters
        self.waiting: list[nn.Parameter] = []

    def before_train(self, runner) -> None:
        """Freeze what of the backbone learns, unless a resumed training is past that."""
        backbone = getattr(unwrap(runner.model), 'backbone', None)
        if backbone is None:
            raise UserError(
                f'{type(unwrap(runner.model)).__name__} has no backbone to keep as it is; '
                'leave HeadsFirstHook out'
            )
        if runner.iter < self.iters:
            self.waiting = [p for p in backbone.parameters() if p.requires_grad]
            for parameter in self.waiting:
                parameter.requires_grad_(False)

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Let the backbone learn when the heads' iterations are over."""
        if self.waiting and runner.iter >= self.iters:
            for parameter in self.waiting:
                parameter.requires_grad_(True)
            self.waiting = []
            runner.logger.info(f'iteration {runner.iter}: the backbone learns from here on')
