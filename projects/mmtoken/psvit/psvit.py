"""PSViT: fewer tokens from stage to stage, and attention maps that neighboring layers share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mmpretrain.registry import MODELS

from mmtoken.errors import UserError
from mmtoken.vit import TokenViT
from mmtoken.vit.arguments import resolve_arch
from mmtoken.vit.building import complete
from mmtoken.vit.schedule import plan_layers

POOLINGS = ('1d', '2d')
POOLS = ('SequencePool', 'TokenPool')


def _stages(*stages: tuple[str, int]) -> dict:
    """An arch of patterns and widths, with heads of 64 channels."""
    return dict(
        stages=[
            dict(depth=len(pattern), embed_dims=width, num_heads=width // 64, pattern=pattern)
            for pattern, width in stages
        ]
    )


_SIZES = {
    ('1d-ti', '1d-tiny'): _stages(('FSFS', 192), ('FSFSFS', 256), ('FSFS', 384)),
    ('2d-ti', '2d-tiny'): _stages(('FFFSFS', 192), ('FSFSFS', 384), ('FS', 512)),
    ('1d-s', '1d-small'): _stages(('FSFS', 384), ('FSFSFS', 512), ('FS', 768)),
    ('2d-s', '2d-small'): _stages(('FFFSFS', 384), ('FSFSFS', 768), ('FS', 1024)),
}


@MODELS.register_module()
class PSViT(TokenViT):
    """PSViT (arXiv 2108.03428) as we design it: its abstract asks for token pooling between layers
    and for attention maps that neighboring layers share. How it does either is not known to us, and
    no code was released: pools, stages, widths and presets are ours.

    It is a `TokenViT` with a schedule, of which all options hold here too.

    Args:
        arch: '1d-tiny', '2d-tiny', '1d-small' or '2d-small', or these with 'ti' and 's'; or a dict
            as of `TokenViT`; '2d-tiny' by default.
        stages: In place of an arch, stages of your own: a list of dicts with `depth`, `embed_dims`,
            `num_heads` and, if need be, `pattern` and `feedforward_channels`.
        pooling: '1d' halves the sequences of the rows and those of the columns in turn
            (`SequencePool`), '2d' both sides (`TokenPool`). That which the arch is named after by
            default, else '2d'.
        num_aux_tokens: A; by default a class token with '1d', or where `out_type` asks for it, and
            else none.
        out_type: As of `TokenViT`; where there is a class token that by default, else the mean
            patch token.
        **options: As of `TokenViT`.

    Raises:
        UserError: If an argument has no meaning; the message names it.
    """

    archs = {name: arch for names, arch in _SIZES.items() for name in names}
    default_arch = '2d-tiny'

    def __init__(
        self,
        arch: str | dict | None = None,
        stages: Sequence[dict] | None = None,
        pooling: str | None = None,
        num_aux_tokens: int | None = None,
        out_type: str | None = None,
        **options,
    ) -> None:
        if stages is not None:
            if arch is not None:
                raise UserError(f'arch {arch!r} is set beside stages; leave one of them out')
            arch = dict(stages=stages)
        arch = self.default_arch if arch is None else arch
        asked, pooling = pooling, resolve_pooling(arch, pooling)
        _check_pool(options.get('pool'), asked)
        if num_aux_tokens is None:
            num_aux_tokens = 1 if pooling == '1d' or out_type == 'cls_token' else 0
        if out_type is None:
            out_type = 'cls_token' if num_aux_tokens else 'avg_featmap'
        if pooling == '1d':
            schedule = (options.get(name) for name in ('pattern', 'pool_before', 'pool'))
            _, pooled = plan_layers(resolve_arch(arch, self.archs), *schedule)
            options['pool'] = _lines(options.get('pool'), pooled)
        super().__init__(arch=arch, num_aux_tokens=num_aux_tokens, out_type=out_type, **options)


def _lines(pool: dict | Sequence[dict] | None, pooled: Sequence[int]) -> list[dict]:
    """Configs of pools along rows and columns in turn, where they say nothing else."""
    each = pool if isinstance(pool, (list, tuple)) else [pool] * len(pooled)
    ranks = map(sorted(pooled).index, pooled)
    return [
        complete(cfg, dict(type='SequencePool', along=('rows', 'columns')[rank % 2]))
        for cfg, rank in zip(each, ranks, strict=True)
    ]


def _check_pool(pool: dict | Sequence[dict] | None, pooling: str | None) -> None:
    """Refuse pools of another kind than `pooling` asks for."""
    for cfg in pool if isinstance(pool, (list, tuple)) else [pool]:
        kind = str(cfg.get('type')).rpartition('.')[2] if isinstance(cfg, Mapping) else None
        if pooling and kind in POOLS and kind != POOLS[POOLINGS.index(pooling)]:
            raise UserError(
                f'pooling {pooling!r} is set beside a pool of type {kind}, which is of the other '
                'kind; leave one of them out'
            )


def resolve_pooling(arch: str | dict | None, pooling: str | None) -> str:
    """'1d' or '2d': as asked for, or as the arch is named.

    Args:
        arch: As of `PSViT`.
        pooling: What is asked for, or None.

    Raises:
        UserError: If it is neither, or not that of the arch.
    """
    if pooling not in (None, *POOLINGS):
        raise UserError(f'pooling {pooling!r} is unknown; use one of {POOLINGS}')
    named = arch[:2] if isinstance(arch, str) and arch[:2] in POOLINGS else None
    if pooling and named and pooling != named:
        raise UserError(
            f'pooling {pooling!r} is not that of arch {arch!r}; leave it out, or choose the arch '
            f'{pooling + arch[2:]!r}'
        )
    return pooling or named or '2d'
