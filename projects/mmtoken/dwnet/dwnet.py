"""DWNet, a pyramid that mixes tokens by depth-wise convolution (Han et al., arXiv 2106.04263)."""

from __future__ import annotations

from typing import Any

from mmpretrain.registry import MODELS
from torch import Tensor, nn

from mmtoken.pyramid import MixerFirstBlock, TokenPyramid
from mmtoken.vit.building import build_norm, check_token_norm, complete
from mmtoken.vit.options import norm_option

from .batch_norms import BATCH_NORM
from .mixer import DepthwiseMixer
from .output_norms import complete_output_norms

ARCHS = {
    'tiny': dict(embed_dims=96, depths=(2, 2, 6, 2), group_channels=(3, 6, 12, 24)),
    'base': dict(embed_dims=128, depths=(2, 2, 18, 2), group_channels=(4, 8, 16, 32)),
}


@MODELS.register_module()
class DWNet(TokenPyramid):
    """Swin's pyramid with (dynamic) depth-wise convolution in the place of local attention: a mixer
    without a norm before it, and an MLP behind a batch norm.

    Nothing but the optional position embedding depends on the image size. There is no attention, so
    neither labels nor roll-outs can follow it.

    Args:
        *args: As of `TokenPyramid`; `arch` has `group_channels`, the channels that share a kernel
            in each stage, in the place of `num_heads`. Inhomogeneous kernels alone use them.
        kernel: Whose the kernels of the convolution are. 'static': learned, of each channel, the
            paper's plain depth-wise convolution; the paper's 'homogeneous' dynamic: predicted from
            the mean of an image, the same at all positions; its 'inhomogeneous' dynamic: predicted
            at every position, shared by the channels of a group.
        window_size: Side of the kernels in tokens, odd.
        pad_to_window: Whether grids are zero-padded at the bottom and right to multiples of
            `window_size` before each mixer and cropped after it, as the released detectors and
            segmentors do. It is not neutral: behind the first norm padding is no longer zero, and
            an image's mean counts it. On for their weights; off, kernels see zeros beyond the
            border. A graph that was exported with it takes another batch, but no other size.
        block_norm_cfg: Config of the norms within the blocks; `dict(type='BN')` by default,
            `dict(type='SyncBN')` in the released detectors and segmentors.
        out_norm_cfg: Config of the norms of the outputs; that of `norm_cfg` by default, a layer
            norm, and `dict(type='SyncBN')` in the released detectors and segmentors.
        **kwargs: As of `TokenPyramid`; `norm_cfg` is that of the norms of embedding and mergings.

    Raises:
        UserError: If an argument has no meaning; the message names it.
    """

    archs = ARCHS
    arch_keys = ('embed_dims', 'depths', 'group_channels')
    has_attention = False

    def __init__(
        self,
        *args,
        kernel: str = 'static',
        window_size: int = 7,
        pad_to_window: bool = False,
        block_norm_cfg: dict | None = None,
        out_norm_cfg: dict | None = None,
        **kwargs,
    ) -> None:
        self.kernel, self.window_size, self.pad_to_window = kernel, window_size, pad_to_window
        self.block_norm_cfg = complete(block_norm_cfg, BATCH_NORM)
        self.out_norm_cfg = out_norm_cfg
        super().__init__(*args, **kwargs)

    def options(self) -> dict[str, Any]:
        """As of `TokenPyramid`."""
        mixer, found = self.layers[0].attn, super().options()
        if self.kernel != 'inhomogeneous':
            # Nothing uses the groups of channels.
            found['arch'] = [channels for channels, _ in found['arch']]
        output = getattr(self, f'norm{self.out_stages[-1]}')
        return found | dict(
            kernel=self.kernel,
            window_size=self.window_size,
            pad_to_window=self.pad_to_window,
            block_norm_cfg=norm_option(mixer.bn0),
            out_norm_cfg=norm_option(output),
        )

    def make_block(self, index: int, drop_path_rate: float, norm_cfg: dict) -> nn.Module:
        plan = self.plans[index]
        mixer = DepthwiseMixer(
            plan.embed_dims,
            self.kernel,
            self.window_size,
            # A plan has the last of `arch_keys` as its heads.
            plan.num_heads,
            self.block_norm_cfg,
            self.pad_to_window,
        )
        return MixerFirstBlock(
            mixer,
            plan.embed_dims,
            plan.feedforward_channels,
            drop_path_rate,
            self.block_norm_cfg,
        )

    def make_output_norm(self, width: int, norm_cfg: dict) -> nn.Module:
        norm_cfg = complete(self.out_norm_cfg, norm_cfg)
        check_token_norm('out_norm_cfg', norm_cfg, batch=True)
        return build_norm(norm_cfg, width)

    def complete_on_load(self, state: dict[str, Tensor]) -> None:
        """As of `TokenPyramid`; batch norms of outputs, too."""
        complete_output_norms(self.state_dict(), state, len(self.depths))
        super().complete_on_load(state)
