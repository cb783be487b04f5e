"""Strict loading: what is missing, unexpected or resized is counted, reported and, below full
coverage, an error.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from mmengine.logging import print_log
from torch import Tensor, nn

from mmtoken.errors import UserError
from mmtoken.weights import read_checkpoint

from .options import differing_options

CONVERTER = 'tools/model_converters/convert.py'
# What follows from an attention's window, whatever is loaded.
MADE_ANEW = ('relative_position_index', 'relative_coords_table')


@dataclass
class Coverage:
    """How well a state dict covers a module.

    Args:
        total: Tensors of the module.
        missing: Names the module has and the state dict lacks.
        unexpected: Names the state dict has and the module lacks.
        resized: Position embeddings of another grid, which the backbone resizes on loading.
        mismatched: Names of both whose shapes differ and that nothing resizes.
    """

    total: int
    missing: list[str]
    unexpected: list[str]
    resized: list[str]
    mismatched: list[str]

    @property
    def complete(self) -> bool:
        """Whether every tensor of both sides has found its counterpart."""
        return not (self.missing or self.unexpected or self.mismatched)

    @property
    def found(self) -> int:
        """How many tensors of the module are there and fit."""
        return self.total - len(self.missing) - len(self.mismatched)

    def __str__(self) -> str:
        parts = [f'{self.found} of {self.total} tensors']
        for name in ('missing', 'unexpected', 'resized', 'mismatched'):
            names = getattr(self, name)
            if names:
                more = f' and {len(names) - 3} more' if len(names) > 3 else ''
                parts.append(f'{len(names)} {name} ({", ".join(names[:3])}{more})')
        return ', '.join(parts)


def compare_state(module: nn.Module, state: dict[str, Tensor]) -> Coverage:
    """Compare a state dict with the module that is to load it, by name and shape."""
    own = module.state_dict()
    shared = [name for name in own if name in state]
    differing = [name for name in shared if own[name].shape != state[name].shape]
    resized = [name for name in differing if _is_resizable(own, state, name)]
    return Coverage(
        total=len(own),
        missing=[name for name in own if name not in state and not name.endswith(MADE_ANEW)],
        unexpected=[name for name in state if name not in own],
        resized=resized,
        mismatched=[name for name in differing if name not in resized],
    )


def _is_resizable(own: dict[str, Tensor], state: dict[str, Tensor], name: str) -> bool:
    """Whether a backbone can resize what the state dict holds under a name: positions as wide, and
    tables of relative ones for as many heads; indices into these are made anew.
    """
    kind, mine, theirs = name.split('.')[-1], own[name].shape, state[name].shape
    if kind in ('pos_embed', 'absolute_pos_embed'):
        return mine[::2] == theirs[::2]
    table = kind == 'relative_position_bias_table' and mine[1:] == theirs[1:]
    return kind in MADE_ANEW or table


def update_names(module: nn.Module, state: dict[str, Tensor]) -> None:
    """Give weights that an earlier version saved today's names, in place.

    Args:
        module: A backbone, or a model around one.
        state: The weights that it is to load.
    """
    for name, part in module.named_modules():
        if hasattr(part, 'update_names'):
            part.update_names(state, f'{name}.' if name else '')


def select_prefix(
    module: nn.Module, state: dict[str, Tensor], prefix: str, source: str
) -> dict[str, Tensor]:
    """The entries under a prefix, the prefix removed.

    Args:
        module: The backbone that is to load them.
        state: Weights of the backbone alone, or of a whole model.
        prefix: Where the backbone's stand in it, with or without the dot; '' where alone.
        source: What they are called, for the error.

    Raises:
        UserError: If none of the backbone's names are there, with the prefix under which they are.
    """
    prefix = f'{prefix.rstrip(".")}.' if prefix else ''
    selected = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    if not module.state_dict().keys() & selected.keys():
        raise UserError(
            f'{source} has no weights of {type(module).__name__} under the prefix {prefix!r}; '
            f'{_where(module, state)}'
        )
    return selected


def _where(module: nn.Module, state: dict[str, Tensor]) -> str:
    """Under which prefix most of a module's names stand, as an advice."""
    prefixes = Counter(
        found.removesuffix(name)
        for name in module.state_dict()
        for found in state
        if f'.{found}'.endswith(f'.{name}')
    )
    if not prefixes:
        names = ', '.join(list(state)[:3])
        return (
            f'its names, such as {names}, are those of another model: use the matching checkpoint '
            f'({CONVERTER} makes ours what other projects have trained)'
        )
    prefix = max(prefixes, key=prefixes.get)
    if not prefix:
        return 'they stand there without one: leave prefix out of init_cfg'
    return f'set prefix={prefix!r} in init_cfg, under which they stand'


def load_pretrained(
    module: nn.Module,
    checkpoint: str | None = None,
    prefix: str = '',
    allow_partial: bool = False,
    **unknown,
) -> Coverage:
    """Load weights into a backbone and hold them to full coverage.

    Args:
        module: The backbone.
        checkpoint: A checkpoint file, of the backbone alone or of a whole model.
        prefix: Where the backbone's weights stand in it, such as 'backbone.'.
        allow_partial: Whether to load what fits and go on where something does not.
        **unknown: Anything else is an error.

    Returns:
        What was found; also logged.

    Raises:
        UserError: If the coverage is not full and `allow_partial` is off, or an option is unknown.
    """
    if unknown:
        raise UserError(
            f'init_cfg has unknown keys {sorted(unknown)}; a Pretrained init_cfg takes '
            'checkpoint, prefix and allow_partial'
        )
    weights, meta = read_checkpoint(checkpoint)
    state = select_prefix(module, weights, prefix, str(checkpoint))
    source = f'pretrained weights {checkpoint}'
    return load_state(module, state, source, meta.get('backbone'), allow_partial)


def load_state(
    module: nn.Module,
    state: dict[str, Tensor],
    source: str,
    config: dict | None = None,
    allow_partial: bool = False,
) -> Coverage:
    """Load weights by a backbone's own names and hold them to full coverage.

    Args:
        module: The backbone.
        state: The weights.
        source: What they are called, in the plural.
        config: Of the backbone that they are of, where that is known.
        allow_partial: Whether to load what fits and go on where something does not.

    Returns:
        What was found; also logged.

    Raises:
        UserError: If the coverage is not full and `allow_partial` is off.
    """
    update_names(module, state)
    module.complete_on_load(state)
    coverage = compare_state(module, state)
    differing = differing_options(module, config)
    enforce(coverage, source, allow_partial, options=differing.needed)
    differing.enforce(source, allow_partial)
    # While all weights are there: they say whose the positions are.
    module.adapt_on_load(state)
    left_out = {*coverage.mismatched, *coverage.unexpected}
    fitting = {name: value for name, value in state.items() if name not in left_out}
    module.load_state_dict(fitting, strict=not allow_partial)
    return coverage


def enforce(
    coverage: Coverage,
    source: str,
    allow_partial: bool,
    switch: str | None = 'allow_partial=True',
    options: str = '',
) -> None:
    """Log the coverage, or raise if it is not full and need be.

    Args:
        coverage: What was found.
        source: What was loaded, in the plural.
        allow_partial: Whether to go on with what fits.
        switch: What the user can set to allow it; None where nothing can.
        options: Those of the backbone that the weights are of, where the file says so.

    Raises:
        UserError: If the coverage is not full and `allow_partial` is off, or if nothing fits.
    """
    if not coverage.complete and not (allow_partial and coverage.found):
        advice = f', or set {switch} to load what fits' if switch and coverage.found else ''
        remedy = (
            f'they are of a backbone with {options}: set this in the config'
            if options
            else f'use the matching checkpoint or model ({CONVERTER} makes ours what other '
            'projects have trained)'
        )
        raise UserError(f'{source} do not cover the model: {coverage}; {remedy}{advice}')
    print_log(f'{source}: {coverage}', logger='current')
