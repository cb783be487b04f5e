"""T2T-ViT's backbone: what it changes of a plain ViT."""

from mmpretrain.registry import MODELS

from mmtoken.vit import TokenViT


def _arch(channels: int, layers: int, heads: int, ratio: int, **defaults) -> dict:
    return dict(
        embed_dims=channels,
        num_layers=layers,
        num_heads=heads,
        feedforward_channels=ratio * channels,
        **defaults,
    )


LIFE = dict(projection=dict(type='LIFEProjection'), qkv_bias=True)


@MODELS.register_module()
class T2TViT(TokenViT):
    """T2T-ViT (arXiv 2101.11986; sizes of the released code): `TokenViT` with a stem of soft
    splits, sinusoidal positions that do not learn, and no bias of queries, keys and values.

    All of it are options of every `TokenViT`; here they are the defaults. The released code's "-t"
    models have `stem=dict(token_layer='transformer')`.

    The arch 't2t-12-life' is a T2T-LIFE (named in arXiv 2305.08551, of which no code was released)
    as we design it: LIFE's projection in every layer of the backbone, none in the stem, with the
    bias of its first scale, which T2T-ViT itself has not. Its three scales must divide the
    channels, so these are 252 in the place of 256. With another arch LIFE is
    `projection=dict(type='LIFEProjection'), qkv_bias=True`.
    """

    archs = {
        't2t-7': _arch(256, 7, 4, 2),
        't2t-10': _arch(256, 10, 4, 2),
        't2t-12': _arch(256, 12, 4, 2),
        't2t-12-life': _arch(252, 12, 4, 2, **LIFE),
        't2t-14': _arch(384, 14, 6, 3),
        't2t-19': _arch(448, 19, 7, 3),
        't2t-24': _arch(512, 24, 8, 3),
    }
    default_arch = 't2t-14'
    default_stem = dict(type='T2TStem')
    default_qkv_bias = False
    default_norm = dict(type='LN', eps=1e-5)
    default_position = 'sinusoidal'
