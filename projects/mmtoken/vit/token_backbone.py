"""What all backbones over tokens share: the way of the tokens, and what optimizers, necks and
checkpoints ask.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from math import prod

import torch
from mmengine.model import BaseModule
from mmengine.utils import to_2tuple
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from mmtoken.errors import UserError
from mmtoken.tokens import Tokens
from mmtoken.weights import is_pretrained

from .arguments import resolve_start
from .intermediate import IntermediateLayers
from .position import adapt_position_on_load
from .pretrained import load_pretrained


class TokenBackbone(IntermediateLayers, BaseModule):
    """Layers with pools between them, and their weights, freezing, depths, strides.

    A backbone has `embed`, which makes the first layer's `Tokens` of images, and `output`, what a
    layer returns; `patch_embed`, `drop_after_pos`, `layers` as `plans` says, and `pools` by the
    index of the layer after them; `patch_size`, `num_layers`, `out_indices`, of layers,
    `frozen_stages` and `with_cp` are values of it. What else is asked here is a plain ViT's, and
    others say it their own way: `pos_embed`, auxiliary tokens by the names of `aux_layout`,
    `stage_norms` by the index of their stage, and `ln1` of the last one.
    """

    # Whether tokens are mixed by attention, which a trace can follow.
    has_attention = True

    @property
    def num_running(self) -> int:
        """How many layers run: those up to the last output."""
        return max(self.out_indices) + 1

    def forward(
        self,
        images: Tensor,
        trace: Tensor | None = None,
        trace_from: int = 0,
        exact_trace: bool = False,
        swap: Tensor | None = None,
    ):
        """Turn images into features.

        Args:
            images: (B, in_channels, height, width), any height and width.
            trace: w₀ (B, A + H·W, M) to carry through the layers and pools, or None.
            trace_from: The first layer it is carried through, the pooling before it already done;
                negatives count from the last one that runs.
            exact_trace: Whether the trace is mixed in its own type under mixed precision too.
            swap: (B, H, W), boolean, the patches that image i has from image B − 1 − i, exchanged
                between stem and position embedding (MixToken); or None.

        Returns:
            The tuple of outputs, one per `out_indices`, as `out_type` says; with a trace the pair
            of that tuple and w_L (B, A + H·W, M), of the last layer's grid.

        Raises:
            UserError: If the trace has another length than the tokens, or starts at no layer, or
                there is no attention that it could follow.
        """
        if trace is not None and not self.has_attention:
            raise UserError(
                f'{type(self).__name__} mixes tokens without attention, which labels and roll-outs '
                'follow; use a backbone that attends, or the target cutmix'
            )
        start = resolve_start(trace_from, self.num_running)
        tokens, outs = self.embed(images, swap), {}
        for index, (pool, layer) in enumerate(self.steps()):
            if pool is not None:
                tokens = pool(tokens)
            if index == start:
                tokens = tokens.start_trace(trace, exact_trace)
            tokens = self.run_layer(layer, tokens)
            if index in self.out_indices:
                outs[index] = self.output(tokens, index)
        outs = tuple(outs[index] for index in self.out_indices)
        return outs if trace is None else (outs, tokens.trace)

    def run(self, tokens: Tokens, start: int = 0, stop: int | None = None) -> Tokens:
        """Run layers from `start` up to, but without, `stop`, each with the pooling before it."""
        for pool, layer in self.steps()[start:stop]:
            if pool is not None:
                tokens = pool(tokens)
            tokens = self.run_layer(layer, tokens)
        return tokens

    def run_layer(self, layer: nn.Module, tokens: Tokens) -> Tokens:
        """Run a layer, of which the backward pass computes what it needs again where `with_cp` says
        so.
        """
        if not (self.with_cp and torch.is_grad_enabled()):
            return layer(tokens)
        if torch.compiler.is_compiling():
            # A compiled graph changes statistics once, and takes no contexts.
            return checkpoint(layer, tokens, use_reentrant=False)
        return checkpoint(
            layer,
            tokens,
            use_reentrant=False,
            context_fn=lambda: (nullcontext(), _kept_statistics(layer)),
        )

    def steps(self) -> list[tuple[nn.Module | None, nn.Module]]:
        """The layers that run, each with the pool before it, or None."""
        pools = dict(self.pools.items())
        running = self.layers[: self.num_running]
        return [(pools.get(str(index)), layer) for index, layer in enumerate(running)]

    @property
    def out_strides(self) -> tuple[int | tuple[int, int], ...]:
        """The stride of each feature map of `out_indices`, in pixels; a pair, of rows and columns,
        where they differ.
        """
        return tuple(self._stride(index) for index in self.out_indices)

    def _stride(self, layer: int) -> int | tuple[int, int]:
        pools = [pool.stride for index, pool in self.pools.items() if int(index) <= layer]
        rows, columns = (
            self.patch_size * prod(to_2tuple(stride)[axis] for stride in pools) for axis in (0, 1)
        )
        return rows if rows == columns else (rows, columns)

    @property
    def out_channels(self) -> tuple[int, ...]:
        """The channels of each output of `out_indices`."""
        return tuple(self.plans[index].embed_dims for index in self.out_indices)

    def norm_of(self, layer: int) -> nn.Module:
        """The norm of a layer's output: that of its stage."""
        stage = str(self.plans[layer].stage)
        if stage in self.stage_norms:
            return self.stage_norms[stage]
        return self.ln1

    @property
    def num_class_tokens(self) -> int:
        """How many tokens `out_type='cls_token'` returns: class and, where there, distillation."""
        return sum(name != 'reg_tokens' for name in self.aux_layout)

    def embedding_parameters(self) -> list[nn.Parameter]:
        """The position embedding, where there is one, and the auxiliary tokens."""
        positions = [] if self.pos_embed is None else [self.pos_embed]
        return [*positions, *(getattr(self, name) for name in self.aux_layout)]

    def pool_trace(self, trace: Tensor, grid: tuple[int, int], trace_from: int) -> Tensor:
        """A trace of the embedding's tokens as `forward` takes it at a later layer.

        Args:
            trace: (B, A + H·W, M).
            grid: (H, W) of the embedding.
            trace_from: The layer; negatives count from the last one that runs.

        Returns:
            (B, A + H'·W', M), what the pooling before that layer makes of it; itself where there is
            none.
        """
        for pool, _ in self.steps()[: resolve_start(trace_from, self.num_running) + 1]:
            if pool is not None:
                trace = pool.pool_trace(trace, grid)
                grid = pool.pooled_grid(grid)
        return trace

    def adapt_on_load(self, state: dict[str, Tensor], prefix: str = '', *_) -> None:
        """Make positions of another grid fit, in place; what `load_state_dict` does first.

        Args:
            state: Weights, of this backbone or of a model around it.
            prefix: What precedes the backbone's own names in it.
        """
        adapt_position_on_load(self, state, prefix)

    def complete_on_load(self, state: dict[str, Tensor]) -> None:
        """Add, in place, what pretrained weights need not have and starts as it is here."""

    def init_weights(self) -> None:
        """Load pretrained weights strictly where `init_cfg` names a checkpoint.

        DeiT's initialization itself happens at construction, so a backbone built outside a runner
        has it too.
        """
        cfgs = self.init_cfg if isinstance(self.init_cfg, list) else [self.init_cfg]
        pretrained = [cfg for cfg in cfgs if is_pretrained(cfg)]
        # mmengine would load these without strictness.
        asked = self.init_cfg
        self.init_cfg = [cfg for cfg in cfgs if cfg and cfg not in pretrained] or None
        super().init_weights()
        self.init_cfg = asked
        for cfg in pretrained:
            load_pretrained(self, **{k: v for k, v in cfg.items() if k != 'type'})

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """The depth of a parameter, for layer-wise learning rates.

        Args:
            param_name: Its name, with the prefix.
            prefix: What precedes the backbone's own names, such as 'backbone.'.

        Returns:
            0 for the embedding, 1 … L for the layers, each with the pooling before it, L + 1 for
            what follows; and the number of depths, L + 2.
        """
        depths = self.num_layers + 2
        if not param_name.startswith(prefix):
            return depths - 1, depths
        name, _, rest = param_name.removeprefix(prefix).partition('.')
        if name in ('layers', 'pools'):
            return int(rest.partition('.')[0]) + 1, depths
        return (depths - 1 if name in ('ln1', 'stage_norms') else 0), depths

    def train(self, mode: bool = True) -> TokenBackbone:
        """Set the mode, frozen stages excepted: they stay in evaluation mode."""
        super().train(mode)
        for module in self._frozen_modules():
            module.eval()
        return self

    def freeze(self) -> None:
        """Let neither the frozen stages learn, nor the layers above the last output, nor norms of
        stages that have none.
        """
        unused = self._layers_and_pools(self.num_running, self.num_layers)
        used = [self.norm_of(index) for index in self.out_indices]
        norms = [norm for norm in (*self.stage_norms.values(), self.ln1) if norm not in used]
        for module in (*self._frozen_modules(), *unused, *norms):
            module.requires_grad_(False)
        if self.frozen_stages >= 0:
            for parameter in self.embedding_parameters():
                parameter.requires_grad_(False)

    def _frozen_modules(self) -> list[nn.Module]:
        if self.frozen_stages < 0:
            return []
        ends = [self.patch_embed, self.drop_after_pos, *self._embedding_norms()]
        learning = [self.norm_of(index) for index in range(self.frozen_stages, self.num_layers)]
        norms = [norm for norm in (*self.stage_norms.values(), self.ln1) if norm not in learning]
        return [*ends, *norms, *self._layers_and_pools(0, self.frozen_stages)]

    def _embedding_norms(self) -> list[nn.Module]:
        """Norms between the embedding and the first layer."""
        return []

    def _layers_and_pools(self, start: int, stop: int) -> list[nn.Module]:
        pools = [pool for index, pool in self.pools.items() if start <= int(index) < stop]
        return [*self.layers[start:stop], *pools]


@contextmanager
def _kept_statistics(layer: nn.Module) -> Iterator[None]:
    """Let batch norms see a batch again without counting it again."""
    counting = [
        (module, module.momentum, module.num_batches_tracked)
        for module in layer.modules()
        if isinstance(module, _BatchNorm) and module.training and module.track_running_stats
    ]
    for norm, _, batches in counting:
        # They are still handed on: what is saved for the backward pass is to be the same.
        norm.momentum = 0.0
        batches.sub_(1)
    try:
        yield
    finally:
        for norm, momentum, _ in counting:
            norm.momentum = momentum
