"""Norms of a pyramid's outputs, as weights of classifiers and of earlier versions have them."""

from __future__ import annotations

from mmengine.logging import print_log
from torch import Tensor, nn


def update_pyramid_names(stages: int, state: dict[str, Tensor], prefix: str = '') -> None:
    """Take weights as mmpretrain's earlier pyramids saved them, in place: with one norm, that of
    the last stage, and with masks, which are made for each size of image.

    Args:
        stages: How many the pyramid has.
        state: Weights, of the pyramid or of a model around it.
        prefix: What precedes the pyramid's own names in it.
    """
    for name in [name for name in state if name.startswith(prefix)]:
        own = name.removeprefix(prefix)
        if own.startswith('stages.') and own.endswith('.attn_mask'):
            del state[name]
        elif own.startswith('norm.'):
            # Beside one by today's name it is unknown, and stays to be said so.
            new = f'{prefix}norm{stages - 1}.{own[5:]}'
            if new not in state:
                state[new] = state.pop(name)


def complete_norms(module: nn.Module, state: dict[str, Tensor]) -> None:
    """Let norms of outputs start anew that a classifier has none of, which returns the last stage
    alone, and leave out its own where that stage is no output here.

    Args:
        module: The pyramid.
        state: Its weights, changed in place.
    """
    own, last = module.state_dict(), len(module.depths) - 1
    for stage in range(last + 1):
        names = [f'norm{stage}.weight', f'norm{stage}.bias']
        given = [name for name in names if name in state]
        if stage in module.out_stages and stage < last and not given:
            state.update({name: own[name] for name in names if name in own})
            print_log(f'norm{stage} starts anew: the weights have none', logger='current')
        elif stage not in module.out_stages and given:
            for name in given:
                del state[name]
            print_log(f'norm{stage} is left out: its stage is no output', logger='current')
