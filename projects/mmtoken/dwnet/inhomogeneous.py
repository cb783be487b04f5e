"""Depth-wise convolution whose kernels are predicted at every position, from its own features."""

from __future__ import annotations

from torch import Tensor, nn

from mmtoken.checks import check_whole
from mmtoken.errors import UserError

from .batch_norms import build_batch_norm
from .reduction import reduced
from .window_sum import window_sum


class InhomogeneousConv(nn.Module):
    """The inhomogeneous dynamic depth-wise convolution (Han et al., arXiv 2106.04263): position n
    has kernels of its own, w_n = U₂ ReLU(BN(U₁ x_n)), each for a group of consecutive channels.
    They are not normalized, and the sum has no bias.

    Args:
        channels: C, a multiple of 4 and of `group_channels`.
        kernel_size: k, odd.
        norm_cfg: Config of the batch norm.
        group_channels: Channels that share a kernel, C/G.

    Raises:
        UserError: If the channels are no such multiple.
    """

    def __init__(
        self, channels: int, kernel_size: int, norm_cfg: dict | None = None, group_channels: int = 3
    ) -> None:
        super().__init__()
        check_whole('group_channels', group_channels, example=3)
        if channels % group_channels:
            raise UserError(
                f'{channels} channels are not a multiple of group_channels {group_channels}, which '
                'share a kernel; use a divisor of the channels of each stage, such as a 32nd'
            )
        self.kernel_size = kernel_size
        hidden, groups = reduced(channels), channels // group_channels
        self.conv1 = nn.Sequential(
            nn.Conv2d(channels, hidden, 1),
            build_batch_norm(norm_cfg, hidden),
            nn.ReLU(inplace=True),
        )
        self.conv2 = nn.Sequential(nn.Conv2d(hidden, groups * kernel_size**2, 1))

    def predict(self, x: Tensor) -> Tensor:
        """The kernels of each position, (B, C, H, W) → (B, G, k², H, W)."""
        # (B, G·k², H, W) → (B, G, k², H, W)
        return self.conv2(self.conv1(x)).unflatten(1, (-1, self.kernel_size**2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        # Planes, so that the kernels are, too: in channels-last memory the window positions of a
        # kernel would lie side by side, and the sum takes one of them after the other.
        x = x.contiguous()
        return window_sum(x, self.predict(x), self.kernel_size)
