"""`TokenViT` with LIFE's projection by default."""

from mmpretrain.registry import MODELS

from mmtoken.vit import TokenViT


@MODELS.register_module()
class LIFEViT(TokenViT):
    """DeiT-LIFE (arXiv 2305.08551): `TokenViT` whose projection defaults to `LIFEProjection`."""

    default_projection = dict(type='LIFEProjection')
