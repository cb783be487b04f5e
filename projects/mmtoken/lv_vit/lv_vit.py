"""LV-ViT's backbone: what it changes of a plain ViT."""

from mmpretrain.registry import MODELS

from mmtoken.vit import TokenViT


def _arch(channels: int, layers: int, heads: int, scale: float, **stem: int) -> dict:
    return dict(
        embed_dims=channels,
        num_layers=layers,
        num_heads=heads,
        feedforward_channels=3 * channels,
        residual_scale=scale,
        stem=stem,
    )


_SIZES = {
    ('t', 'tiny'): _arch(240, 12, 4, 1.0),
    ('s', 'small'): _arch(384, 16, 6, 2.0),
    ('m', 'medium'): _arch(512, 20, 8, 2.0),
    ('l', 'large'): _arch(768, 24, 12, 3.0, stem_channels=128),
}


@MODELS.register_module()
class LVViT(TokenViT):
    """LV-ViT (arXiv 2104.10858; sizes of the released code): `TokenViT` with a stem of
    convolutions, MLPs three times as wide, branches divided by λ before they are added, and no bias
    of queries, keys and values.

    All of it are options of every `TokenViT`; here they are the defaults. An arch of your own has
    λ = 1 unless `residual_scale` says otherwise.
    """

    archs = {name: arch for names, arch in _SIZES.items() for name in names}
    default_arch = 'small'
    default_stem = dict(type='ConvStem')
    default_qkv_bias = False
    default_norm = dict(type='LN', eps=1e-5)
