"""What a schedule costs: multiply-adds and parameters by adding up, latency by the clock."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from mmtoken.errors import UserError
from mmtoken.experiments.costs import count_costs, image_shape
from mmtoken.experiments.scoreboard_stages import build_part
from mmtoken.tasks.task import write_json

from ..psvit import resolve_pooling
from .space import Schedule, Space

# Passes of one image that are timed, after a few that are not.
TIMED, WARMING = 15, 5


class Costs:
    """Costs of the schedules of a space, in a config's classifier.

    A unit costs the same wherever it stands in a stage, so that a few models are counted and the
    others added up.

    Args:
        cfg: The config of a classifier with a PSViT.
        space: The space.
    """

    def __init__(self, cfg: Config, space: Space) -> None:
        self.cfg, self.space = cfg, space
        self.shape = image_shape(cfg, None)
        sizes = [*zip(space.widths, space.num_heads, strict=True)]
        least = ['FF'] * len(sizes)

        def count(patterns: Sequence[str]) -> dict[str, int]:
            stages = [
                dict(depth=len(pattern), embed_dims=width, num_heads=heads, pattern=pattern)
                for pattern, (width, heads) in zip(patterns, sizes, strict=True)
            ]
            return count_costs(self._build(stages), self.shape, cfg.default_scope)

        self.base = count(least)
        self.units: dict[tuple[int, str], dict[str, int]] = {}
        for stage in range(len(sizes)):
            for letters in ('FF', 'FS'):
                more = count([*least[:stage], least[stage] + letters, *least[stage + 1 :]])
                self.units[stage, letters] = {
                    kind: more[kind] - self.base[kind] for kind in ('macs', 'params')
                }

    def count(self, schedule: Schedule) -> dict[str, int]:
        """Multiply-adds of one image and parameters of the whole classifier."""
        total = {kind: self.base[kind] for kind in ('macs', 'params')}
        for stage in range(len(self.space.widths)):
            # Which the base has already.
            self._add(total, (stage, 'FF'), -1)
        stage = 0
        for unit, letters in enumerate(schedule.units):
            stage += unit in schedule.pools
            self._add(total, (stage, letters), 1)
        return total

    def _add(self, total: dict[str, int], unit: tuple[int, str], sign: int) -> None:
        for kind in total:
            total[kind] += sign * self.units[unit][kind]

    def latency(self, schedule: Schedule) -> float:
        """Milliseconds that one image takes here, the median of some passes."""
        return latency(self._build(self.space.stages(schedule)), self.shape)

    def _build(self, stages: list[dict[str, Any]]) -> torch.nn.Module:
        model = deepcopy(self.cfg.model)
        model.backbone = scheduled_backbone(model.backbone, stages)
        return build_part(self.cfg, model)


class Prices:
    """What schedules cost of a budget; what is timed is timed once in a search's folder.

    Args:
        costs: Of the space.
        budget: As a search says it.
        stamp: The file by which the folder is known to be of this search. As long as it is missing,
            timings in the folder may be of another space: none are read, and none written.
    """

    def __init__(self, costs: Costs, budget: Mapping[str, Any], stamp: Path) -> None:
        (self.kind,) = budget
        self.costs, self.stamp, self.file = costs, stamp, stamp.with_name('latency.json')
        earlier = stamp.exists() and self.file.exists()
        self.timed: dict[str, float] = json.loads(self.file.read_text()) if earlier else {}

    def __call__(self, schedule: Schedule) -> float:
        """The cost of a schedule."""
        if self.kind != 'latency_ms':
            return self.costs.count(schedule)[self.kind]
        if str(schedule) not in self.timed:
            self.timed[str(schedule)] = self.costs.latency(schedule)
            self.keep()
        return self.timed[str(schedule)]

    def keep(self) -> None:
        """Write the timings, where the folder is this search's."""
        if self.timed and self.stamp.exists():
            write_json(self.file, self.timed)


def latency(model: torch.nn.Module, shape: tuple[int, int]) -> float:
    """Milliseconds that a classifier takes for an image of a shape here, the median of passes."""
    model, image, seconds = model.eval(), torch.randn(1, 3, *shape), []
    with torch.inference_mode():
        for _ in range(WARMING + TIMED):
            start = time.perf_counter()
            model(image, mode='tensor')
            seconds.append(time.perf_counter() - start)
    return 1e3 * statistics.median(seconds[WARMING:])


def scheduled_backbone(backbone: dict[str, Any], stages: list[dict[str, Any]]) -> dict[str, Any]:
    """A backbone's config with other stages.

    Args:
        backbone: Of a `PSViT`.
        stages: As `PSViT` takes them.

    Returns:
        The config; what else said a schedule is left out.

    Raises:
        UserError: If it is of another type.
    """
    kind = str(backbone['type']).rpartition('.')[2]
    if kind != 'PSViT':
        raise UserError(
            f'a search varies the schedule of a PSViT; the backbone of the config is {kind}: '
            "set type='PSViT', of which every TokenViT is a case"
        )
    said = ('arch', 'stages', 'pattern', 'pool_before', 'init_cfg')
    kept = {key: value for key, value in backbone.items() if key not in said}
    # Which the name of an arch says, too.
    kept['pooling'] = resolve_pooling(backbone.get('arch'), backbone.get('pooling'))
    # Drawn as in the config; weights that it loads are of its own schedule.
    drawn = backbone.get('init_cfg')
    several = drawn if isinstance(drawn, (list, tuple)) else [drawn]
    if drawn and all(cfg.get('type') != 'Pretrained' for cfg in several):
        kept['init_cfg'] = drawn
    return dict(kept, stages=stages)
