"""How narrow the layer is that predicts kernels."""

from mmtoken.errors import UserError

REDUCTION = 4


def reduced(channels: int) -> int:
    """A quarter of the channels (released code).

    Raises:
        UserError: If that is no whole number.
    """
    if channels % REDUCTION:
        raise UserError(
            f'{channels} channels are not a multiple of {REDUCTION}, and kernels are predicted '
            f'from a quarter of them; set embed_dims to a multiple of {REDUCTION}, such as 96'
        )
    return channels // REDUCTION
