"""The batch norms of DWNet's blocks, and one clear error where they have nothing to average."""

from __future__ import annotations

from mmengine.dist import get_world_size
from torch import nn

from mmtoken.errors import UserError
from mmtoken.vit.building import build_norm, complete, find_part
from mmtoken.vit.known import known

BATCH_NORM = dict(type='BN')
_OF_MAPS = (nn.BatchNorm2d, nn.SyncBatchNorm)


def build_batch_norm(cfg: dict | None, channels: int) -> nn.Module:
    """Build a batch norm over the channels of a map.

    Args:
        cfg: Its config; `dict(type='BN')` by default, whose eps is 1e-5.
        channels: How many.

    Raises:
        UserError: If it is a norm of another kind.
    """
    cfg = complete(cfg, BATCH_NORM)
    kind = find_part(cfg)
    if not isinstance(kind, type) or not issubclass(kind, _OF_MAPS):
        raise UserError(
            f'block_norm_cfg {cfg!r} is no batch norm of maps, which blocks of DWNet are made of; '
            "use dict(type='BN'), or dict(type='SyncBN') for few images in each of many processes"
        )
    return build_norm(cfg, channels)


def check_values(norm: nn.Module, count: int, remedy: str) -> None:
    """Refuse to train a batch norm on a single value of each channel, whose variance is none.

    Args:
        norm: The batch norm; one that is synchronized counts the values of all processes.
        count: How many values this process has of each channel.
        remedy: Where they are too few, why, and what to do.

    Raises:
        UserError: If there is one.
    """
    averages = norm.training or norm.running_mean is None
    synchronized = isinstance(norm, nn.SyncBatchNorm) and get_world_size() > 1
    if averages and known(count == 1) and not synchronized:
        raise UserError(
            'a batch norm in training was given 1 value of each channel, and needs 2 or more: '
            f"{remedy}, or set block_norm_cfg=dict(type='SyncBN') and train in several processes"
        )
