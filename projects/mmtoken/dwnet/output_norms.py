"""Batch norms of a pyramid's outputs, where the weights are a classifier's or of other stages."""

from __future__ import annotations

from collections.abc import Mapping

from mmengine.logging import print_log
from torch import Tensor

_LEARNED = ('weight', 'bias')


def complete_output_norms(own: Mapping[str, Tensor], state: dict[str, Tensor], stages: int) -> None:
    """Make what weights have of the norms of outputs complete, in place (our design).

    A batch norm starts anew where the weights have none for its stage, or a layer norm, as
    classifiers have after the last one: what these have learned is nothing to the other. The
    statistics of a stage that is no output here are left out, as its `weight` and `bias` are by
    `TokenPyramid`. A batch norm of which a part is lost is left to strict loading.

    Args:
        own: The weights of the backbone that loads.
        state: What it loads.
        stages: How many stages it has.
    """
    for stage in range(stages):
        prefix = f'norm{stage}.'
        mine = {name: value for name, value in own.items() if name.startswith(prefix)}
        given = [name for name in state if name.startswith(prefix)]
        statistics = {name for name in mine if name.removeprefix(prefix) not in _LEARNED}
        if statistics and not statistics & set(given) and (given or stage < stages - 1):
            state.update(mine)
            print_log(f'norm{stage} starts anew: the weights have no batch norm', logger='current')
        if not mine:
            for name in given:
                if name.removeprefix(prefix) not in _LEARNED:
                    del state[name]
