"""What hooks that guard a run have in common."""

from mmengine.hooks import Hook


class Guard(Hook):
    """A hook that changes nothing in a run that nothing goes wrong in.

    Studies leave guards out when they tell whether a config is still the one that a result came
    from. Our design.
    """
