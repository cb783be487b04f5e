"""What mmengine's runner takes together or not at all."""

from collections.abc import Iterator

from mmtoken.config_check.problem import Problem

_GROUPS = (
    ('train_dataloader', 'train_cfg', 'optim_wrapper'),
    ('val_dataloader', 'val_cfg', 'val_evaluator'),
    ('test_dataloader', 'test_cfg', 'test_evaluator'),
)


def together_problems(content: dict) -> Iterator[Problem]:
    """Find loaders, loops and evaluators that lack one another.

    Args:
        content: The config.

    Yields:
        The faults.
    """
    for group in _GROUPS:
        missing = [key for key in group if content.get(key) is None]
        there = [key for key in group if key not in missing]
        if missing and there:
            yield Problem(
                f'{missing[0]} is missing, and {" and ".join(there)} '
                f'{"is" if len(there) == 1 else "are"} there; add it, or set '
                f'{there[0]}=None{" and the other too" if there[1:] else ""}'
            )
