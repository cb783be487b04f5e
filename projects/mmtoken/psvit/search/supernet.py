"""All schedules of a space at once, their weights shared, one of them trained at each step."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any

import numpy as np
from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS, MODELS
from torch import nn

from mmtoken.errors import UserError
from mmtoken.unwrap import unwrap
from mmtoken.vit.building import build_projection, complete
from mmtoken.vit.initialization import init_like_deit
from mmtoken.vit.projections import LinearProjection
from mmtoken.vit.schedule import plan_layers

from ..psvit import PSViT
from .space import Schedule, build_space

# What says a schedule, or depends on one, and what says nothing of it.
SCHEDULE_OPTIONS = dict(
    arch=None, stages=None, pattern=None, pool_before=(), out_indices=-1,
    window_size=0, global_attn_indexes=(), frozen_stages=-1,
)  # fmt: skip


def check_free(options: Mapping[str, Any]) -> None:
    """Be sure that a backbone's options leave its schedule to a search.

    Args:
        options: Of a `PSViT`.

    Raises:
        UserError: If one says a schedule, or names layers of one.
    """
    for name, nothing in SCHEDULE_OPTIONS.items():
        said = options.get(name)
        if said is not None and said != nothing and said != []:
            raise UserError(
                f'{name} says what is searched, or depends on it: {said!r}; leave it out of the '
                'backbone'
            )


@MODELS.register_module()
class PSViTSupernet(PSViT):
    """A PSViT whose layers are those of `path`, a schedule of a space (our design, after
    single-path one-shot search, arXiv 1904.00420).

    Each unit has one bank of weights for every stage that it can be in, since its width depends on
    the pools before it; FF and FS share a bank, and FS makes no use of the second layer's queries
    and keys. Where a projection mixes them with the values (LIFE's), a sharing layer has one of its
    own, of values alone, as that which is trained from nothing has. Each pair of stages has one
    pool. Seen otherwise, it is a PSViT whose stages have the layers of all units that can be in
    them, and of which a path takes some.

    Args:
        space: Arguments of a `Space`.
        **options: As of `PSViT`, without those that say a schedule, or name layers of one.

    Raises:
        UserError: If the space has no schedule, or an option says one.
    """

    def __init__(self, space: dict, **options) -> None:
        built = build_space(space)
        check_free(options)
        sizes = zip(built.widths, built.num_heads, strict=True)
        depth = 2 * built.units_of_stage
        stages = [dict(depth=depth, embed_dims=width, num_heads=h) for width, h in sizes]
        super().__init__(stages=stages, **options)
        self._add_values(options)
        self.space = built
        self.drop_path_rate = options.get('drop_path_rate', 0.0)
        # Of a path, which has fewer layers than there are.
        self.out_indices = (2 * built.units - 1,)
        self.take(next(iter(built)))

    def _add_values(self, options: dict) -> None:
        if isinstance(self.layers[0].attn.qkv, LinearProjection):
            # Its values have rows of their own.
            return
        projection = complete(options.get('projection'), self.default_projection)
        bias = options.get('qkv_bias')
        bias = self.default_qkv_bias if bias is None else bias
        for layer in self.layers[1::2]:
            width = layer.attn.proj.in_features
            layer.attn.value = build_projection(projection, width, bias, values_only=True)
            init_like_deit(layer.attn.value, ())

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """As of `TokenBackbone`, for the layers that a path has and not those of the banks."""
        depths = 2 * self.space.units + 2
        name, _, rest = param_name.removeprefix(prefix).partition('.')
        if not param_name.startswith(prefix) or name not in ('layers', 'pools'):
            depth, banks = super().get_layer_depth(param_name, prefix)
            return (depths - 1 if depth == banks - 1 else depth), depths
        stage, layer = divmod(int(rest.partition('.')[0]), 2 * self.space.units_of_stage)
        # As of `steps`: the first unit that stage s can have is the s-th.
        return 2 * stage + layer + 1, depths

    def take(self, path: Schedule | str) -> None:
        """Go along another path from now on.

        Args:
            path: A schedule of the space, or its text.
        """
        self.path = self.space.read(path) if isinstance(path, str) else path
        stages = self.space.stages(self.path)
        self.plans, _ = plan_layers(dict(stages=stages), None, (), None)
        rates = np.linspace(0, self.drop_path_rate, 2 * self.space.units).tolist()
        for (_, layer), plan, rate in zip(self.steps(), self.plans, rates, strict=True):
            layer.attn.shares, layer.attn.passes_on = plan.shares, plan.passes_on
            layer.drop_path.drop_prob = layer.ffn.dropout_layer.drop_prob = rate

    def steps(self) -> list[tuple[nn.Module | None, nn.Module]]:
        """The layers of the path, each with the pool before it, or None."""
        found, stage = [], 0
        for unit in range(self.space.units):
            pooled = unit in self.path.pools
            stage += pooled
            start = 2 * self.space.units_of_stage * stage
            pool = self.pools[str(start)] if pooled else None
            # Stage s cannot have the units before the s-th, which are in stages before it.
            first = start + 2 * (unit - stage)
            found += [(pool, self.layers[first]), (None, self.layers[first + 1])]
        return found


@HOOKS.register_module()
class SamplePathHook(Hook):
    """Train one path a step, each as probable as any other.

    It is drawn from the seed and the number of the step alone: the same on all processes, and in a
    run that was interrupted.

    Args:
        seed: Of the draws.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Draw the path of the step.

        Raises:
            UserError: If the model's backbone is no supernet.
        """
        backbone = unwrap(runner.model).backbone
        if not isinstance(backbone, PSViTSupernet):
            raise UserError(
                f'SamplePathHook draws paths of a PSViTSupernet; the backbone is '
                f'{type(backbone).__name__}: leave the hook out, or search'
            )
        backbone.take(backbone.space.sample(Random(f'{self.seed}-{runner.iter}')))
