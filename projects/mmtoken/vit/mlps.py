"""What a layer does to each token by itself: the plain MLP, and the gated one."""

from mmcv.cnn.bricks.transformer import FFN
from mmpretrain.models.utils import SwiGLUFFN
from mmpretrain.registry import MODELS
from torch import Tensor, nn

# Of the config of a layer's MLP.
MLP_CFG = dict(type='MLP')


@MODELS.register_module()
class MLP(FFN):
    """Two linear maps with an activation between them (Dosovitskiy et al. 2021); mmcv's `FFN`.

    An MLP of your own maps (B, N, C) to the same shape and has `hidden`, a module that puts out its
    hidden channels, and `dropout_layer`, its stochastic depth; registered in mmpretrain's `MODELS`,
    it is built with all arguments below but the last.

    Args:
        embed_dims: C.
        feedforward_channels: Hidden channels.
        drop_rate: Dropout probability after each linear map.
        drop_path_rate: Probability to skip it for a whole image.
        layer_scale_init_value: What its output is multiplied by at first, channel by channel; 0 for
            no such scale.
        act_cfg: Config of the activation; CLIP's is `dict(type='QuickGELU')`.
    """

    def __init__(
        self,
        embed_dims: int,
        feedforward_channels: int,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        layer_scale_init_value: float = 0.0,
        act_cfg: dict = dict(type='GELU'),
    ) -> None:
        super().__init__(
            embed_dims,
            feedforward_channels,
            act_cfg=act_cfg,
            ffn_drop=drop_rate,
            dropout_layer=dict(type='DropPath', drop_prob=drop_path_rate),
            add_identity=False,
            layer_scale_init_value=layer_scale_init_value,
        )

    @property
    def hidden(self) -> nn.Module:
        """What puts out the hidden channels: the activation."""
        return self.layers[0][1]


@MODELS.register_module()
class SwiGLU(SwiGLUFFN):
    """SiLU(x·W₁) ⊙ (x·W₂), and a linear map back (Shazeer, arXiv 2002.05202): the MLP of the
    largest DINOv2 and DINOv3 and, with a norm, of EVA-02; mmpretrain's, by its names.

    Hidden channels are taken as they are: DINOv2's and DINOv3's code has 2/3 of those that its
    configs name, rounded up to a multiple of 8.

    Args:
        embed_dims: C.
        feedforward_channels: Hidden channels.
        drop_rate: Dropout probability of the output.
        drop_path_rate: As of `MLP`.
        layer_scale_init_value: As of `MLP`.
        norm_cfg: Config of a norm of the hidden channels; none by default.
    """

    def __init__(
        self,
        embed_dims: int,
        feedforward_channels: int,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        layer_scale_init_value: float = 0.0,
        norm_cfg: dict | None = None,
    ) -> None:
        super().__init__(
            embed_dims,
            feedforward_channels,
            layer_scale_init_value=layer_scale_init_value,
            dropout_layer=dict(type='DropPath', drop_prob=drop_path_rate),
            norm_cfg=norm_cfg,
            add_identity=False,
        )
        self.drop = nn.Dropout(drop_rate)

    @property
    def hidden(self) -> nn.Module:
        """What puts out the hidden channels: their norm, or what stands in its place."""
        return self.norm

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) → (B, N, C)."""
        return self.drop(super().forward(x))
