"""All schedules of a space at once, their weights shared, one of them trained at each step."""

from __future__ import annotations

from random import Random

from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS, MODELS
from torch import Tensor

from mmtoken.errors import UserError
from mmtoken.tokens import Tokens
from mmtoken.unwrap import unwrap

from ..psvit import PSViT
from .space import Schedule, build_space

SCHEDULE_OPTIONS = ('arch', 'stages', 'pattern', 'pool_before', 'out_indices')


@MODELS.register_module()
class PSViTSupernet(PSViT):
    """A PSViT whose layers are those of `path`, a schedule of a space (our design, after
    single-path one-shot search, arXiv 1904.00420).

    Each unit has one bank of weights for every stage that it can be in, since its width depends on
    the pools before it; FF and FS share a bank, and FS makes no use of the second layer's queries
    and keys. Each pair of stages has one pool. Seen otherwise, it is a PSViT whose stages have the
    layers of all units that can be in them, and of which a path takes some.

    Args:
        space: Arguments of a `Space`.
        **options: As of `PSViT`, without those that say a schedule.

    Raises:
        UserError: If the space has no schedule, or an option says one.
    """

    def __init__(self, space: dict, **options) -> None:
        built = build_space(space)
        for name in SCHEDULE_OPTIONS:
            if options.get(name) is not None:
                raise UserError(f'{name} is what is searched; leave it out of PSViTSupernet')
        sizes = zip(built.widths, built.num_heads, strict=True)
        depth = 2 * built.units_of_stage
        stages = [dict(depth=depth, embed_dims=width, num_heads=h) for width, h in sizes]
        super().__init__(stages=stages, **options)
        self.space = built
        self.path = next(iter(built))

    def forward(self, images: Tensor) -> tuple:
        """Turn images into features, along the path.

        Args:
            images: (B, in_channels, height, width), any height and width.

        Returns:
            A tuple of one output, as `out_type` says.
        """
        tokens, stage = self.embed(images), 0
        for unit, letters in enumerate(self.path.units):
            if unit in self.path.pools:
                stage += 1
                tokens = self.pools[str(self._first_layer(stage))](tokens)
            # Stage s cannot have the units before the s-th, which are in stages before it.
            first = self._first_layer(stage) + 2 * (unit - stage)
            tokens = self._run_unit(first, letters, tokens)
        return (self._output(tokens, self.num_layers - 1),)

    def _first_layer(self, stage: int) -> int:
        return 2 * self.space.units_of_stage * stage

    def _run_unit(self, first: int, letters: str, tokens: Tokens) -> Tokens:
        source, second = self.layers[first], self.layers[first + 1]
        shares = letters[1] == 'S'
        source.attn.passes_on = second.attn.shares = shares
        return self.run_layer(second, self.run_layer(source, tokens))

    def take(self, path: Schedule | str) -> None:
        """Go along another path from now on.

        Args:
            path: A schedule of the space, or its text.
        """
        self.path = self.space.read(path) if isinstance(path, str) else path


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
