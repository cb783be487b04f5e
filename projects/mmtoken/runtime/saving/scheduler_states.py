"""Schedules whose states are data: functions stay out of checkpoints.

mmengine saves all attributes of a schedule. That of `OneCycleLR` has its own method among them,
which no safe loader reads back, and which a run that goes on has from its constructor. Our design.
"""

import functools
from typing import Any

from mmengine.optim import _ParamScheduler


def install_plain_scheduler_states() -> None:
    """Have mmengine's schedules leave functions out of what they save."""
    original = _ParamScheduler.state_dict

    @functools.wraps(original)
    def state_dict(self: Any) -> dict:
        return {key: value for key, value in original(self).items() if not callable(value)}

    _ParamScheduler.state_dict = state_dict
