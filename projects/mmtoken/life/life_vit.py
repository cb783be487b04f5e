"""`TokenViT` with LIFE's projection by default."""

from mmpretrain.registry import MODELS

from mmtoken.vit import TokenViT


@MODELS.register_module()
class LIFEViT(TokenViT):
    """DeiT-LIFE (arXiv 2305.08551): `TokenViT` whose projection defaults to `LIFEProjection`.

    Args:
        *args: As of `TokenViT`.
        projection: Config of the projection; `dict(type='LIFEProjection', kernel_sizes=(3, 5), …)`.
        **kwargs: As of `TokenViT`.
    """

    def __init__(self, *args, projection: dict = dict(type='LIFEProjection'), **kwargs) -> None:
        super().__init__(*args, projection=projection, **kwargs)
