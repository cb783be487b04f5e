"""The optimizer's state of fully sharded training, which mmengine writes and cannot read back."""

from typing import Any

from mmengine import _strategy


def load_as_torch_does() -> None:
    """Have mmengine's strategy name what it hands to torch, whose order of arguments is another one
    since 2.1.
    """
    if hasattr(_strategy, 'FSDPStrategy'):  # mmengine does without it where torch has none.
        _strategy.FSDPStrategy.load_optim_state_dict = _load_optim_state_dict


def _load_optim_state_dict(strategy: Any, state_dict: dict) -> None:
    """Load the optimizer's state, as of mmengine's method."""
    from torch.distributed.fsdp import FullyShardedDataParallel

    state = FullyShardedDataParallel.optim_state_dict_to_load(
        model=strategy.model, optim=strategy.optim_wrapper.optimizer, optim_state_dict=state_dict
    )
    strategy.optim_wrapper.load_state_dict(state)
