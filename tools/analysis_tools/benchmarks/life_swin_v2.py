"""What LIFE costs on Swin V2-T, its convolutions in windows or over the grid; and both with
attention formed explicitly, the arithmetic of the released code. A training step on a CPU forms it
in ours, too; inference does not.
"""

from functools import partial

from mmtoken.experiments.benchmark_models import backbone_loss
from mmtoken.experiments.benchmark_rows import Preset, Ratio, Row
from mmtoken.swin import SwinV2, WindowAttentionV2

from torch import Tensor, nn

LIFE = 'LIFEProjection'


class ExplicitAttention(WindowAttentionV2):
    """Forms every matrix of scores, and the attention itself, as the released code does."""

    def forward(
        self,
        projected: tuple[Tensor, Tensor, Tensor],
        trace: Tensor | None,
        mask: Tensor | None,
        exact: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        weights = self.weights(projected, mask)
        out = weights @ self._heads(projected[2])
        return self.proj(out.transpose(1, 2).flatten(2)), None


class ExplicitSwinV2(SwinV2):
    """Swin V2 with explicit attention."""

    attention = ExplicitAttention


def build(img_size: int, kind: type = SwinV2, **projection) -> nn.Module:
    """Swin V2-T with windows of 8 and all its maps.

    Args:
        img_size: Height and width in pixels.
        kind: Its class.
        **projection: Config of its projection.

    Returns:
        The backbone.
    """
    return kind(
        arch='tiny',
        img_size=img_size,
        out_indices=(0, 1, 2, 3),
        drop_path_rate=0.2,
        projection=projection or None,
    )


WINDOW, GRID = 'SwinV2 + LIFE, windows', 'SwinV2 + LIFE, grid'
EXPLICIT = 'SwinV2 + LIFE, windows, explicit attention'

PRESET = Preset(
    title='LIFE on Swin V2-T',
    rows=[
        Row('SwinV2', build, backbone_loss),
        Row(WINDOW, partial(build, type=LIFE), backbone_loss),
        Row(GRID, partial(build, type=LIFE, scope='grid'), backbone_loss),
        Row(EXPLICIT, partial(build, kind=ExplicitSwinV2, type=LIFE), backbone_loss),
    ],
    ratios=[
        Ratio(WINDOW, 'SwinV2', 1.15),
        Ratio(GRID, 'SwinV2', 1.15),
        Ratio(WINDOW, EXPLICIT),
        Ratio(WINDOW, 'SwinV2', of='memory'),
        Ratio(GRID, 'SwinV2', of='memory'),
        Ratio(WINDOW, EXPLICIT, of='memory'),
    ],
    cases=[(256, 8)],
)
