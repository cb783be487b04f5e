"""The same strictness for whole models: `load_from`, `--resume` and the checkpoint that
tools/test.py evaluates.
"""

from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS

from mmtoken.unwrap import unwrap
from mmtoken.vit.pretrained import compare_state, enforce, update_names
from mmtoken.weights import weights_of


@HOOKS.register_module()
class StrictLoadHook(Hook):
    """Refuse checkpoints that do not cover the model; mmengine loads them without strictness, and
    only warns.

    Args:
        allow_partial: Whether to go on with what fits; the coverage is logged either way.

    Raises:
        UserError: While loading, if the coverage is not full and `allow_partial` is off.
    """

    def __init__(self, allow_partial: bool = False) -> None:
        self.allow_partial = allow_partial

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Compare before mmengine loads, and have it load what was compared: it calls this between
        reading the file and loading it.
        """
        model = unwrap(runner.model)
        # Unknown where a program hands the runner's own method a file.
        source = getattr(runner, '_load_from', None) or 'the checkpoint'
        # mmengine looks here, and takes for weights whatever stands in a file without it.
        checkpoint['state_dict'] = state = weights_of(checkpoint, source)
        switch = 'default_hooks.strict_load.allow_partial=True'
        update_names(model, state)
        enforce(compare_state(model, state), f'the weights of {source}', self.allow_partial, switch)
