"""What mixes the tokens of a DWNet block: a depth-wise convolution between two pointwise ones."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import nn

from mmtoken.checks import check_whole
from mmtoken.errors import UserError, near_miss
from mmtoken.tokens import Tokens

from .batch_norms import build_batch_norm, check_values
from .homogeneous import HomogeneousConv
from .inhomogeneous import InhomogeneousConv

# Of channels, kernel size, config of the norm, and channels that share a kernel.
KERNELS: dict[str, Callable[[int, int, dict | None, int], nn.Module]] = {
    'static': lambda channels, size, *_: nn.Conv2d(
        channels, channels, size, padding=size // 2, groups=channels
    ),
    'homogeneous': lambda channels, size, norm_cfg, _: HomogeneousConv(channels, size, norm_cfg),
    'inhomogeneous': InhomogeneousConv,
}


class DepthwiseMixer(nn.Module):
    """1×1 convolution, norm, ReLU, depth-wise convolution, norm, ReLU, 1×1 convolution, norm (Han
    et al., arXiv 2106.04263); parameter names as in the released code.

    Args:
        embed_dims: C.
        kernel: 'static', 'homogeneous' or 'inhomogeneous', as of `DWNet`.
        window_size: Side of the kernel in tokens, odd.
        group_channels: Channels that share a kernel where it is inhomogeneous.
        norm_cfg: Config of the batch norms.
        pad_to_window: As of `DWNet`.

    Raises:
        UserError: If an argument has no meaning; the message names it.
    """

    def __init__(
        self,
        embed_dims: int,
        kernel: str = 'static',
        window_size: int = 7,
        group_channels: int = 3,
        norm_cfg: dict | None = None,
        pad_to_window: bool = False,
    ) -> None:
        super().__init__()
        check_window(window_size)
        if kernel not in [*KERNELS]:
            raise UserError(
                f'kernel {kernel!r} is unknown; use one of {[*KERNELS]}'
                f'{near_miss(str(kernel), KERNELS)}'
            )
        self.window_size, self.pad_to_window = window_size, pad_to_window
        self.conv0 = nn.Conv2d(embed_dims, embed_dims, 1, bias=False)
        self.bn0 = build_batch_norm(norm_cfg, embed_dims)
        self.conv = KERNELS[kernel](embed_dims, window_size, norm_cfg, group_channels)
        self.bn = build_batch_norm(norm_cfg, embed_dims)
        self.conv2 = nn.Conv2d(embed_dims, embed_dims, 1, bias=False)
        self.bn2 = build_batch_norm(norm_cfg, embed_dims)

    def forward(self, tokens: Tokens) -> Tokens:
        """Mix tokens over windows; the residual is not added.

        Raises:
            UserError: If it trains on one token, or, predicting a kernel for each image, on one.
        """
        height, width = tokens.grid
        check_values(
            self.bn0,
            tokens.x.shape[0] * height * width,
            f'1 image is a grid of {height}x{width} tokens here; use more or larger images',
        )
        # (B, H·W, C) → (B, C, H, W), a view in channels-last memory
        x = tokens.x.transpose(1, 2).unflatten(2, tokens.grid)
        if self.pad_to_window:
            x = F.pad(x, (0, -width % self.window_size, 0, -height % self.window_size))
        x = F.relu(self.bn0(self.conv0(x)), inplace=True)
        x = F.relu(self.bn(self.conv(x)), inplace=True)
        x = self.bn2(self.conv2(x))[..., :height, :width]
        return tokens.with_(x=x.flatten(2).transpose(1, 2))


def check_window(window_size: int) -> None:
    """Refuse the side of a window that is no number, or has no middle.

    Raises:
        UserError: If so.
    """
    check_whole('window_size', window_size, example=7)
    if window_size % 2 == 0:
        raise UserError(
            f'window_size {window_size} is even, and a window has a token in its middle; use '
            f'{window_size - 1} or {window_size + 1}'
        )
