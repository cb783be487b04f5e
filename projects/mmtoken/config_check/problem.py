"""One thing that is wrong with a config."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a config.

    Args:
        text: One sentence, without the name of the config: the value, what was expected, what to
            do.
        certain: Whether the config cannot mean what it says, which is an error; what is merely
            likely to be a slip is a warning.
    """

    text: str
    certain: bool = True
