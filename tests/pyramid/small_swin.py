"""What tests of a pyramid run on: a small Swin, and images."""

import torch

from mmtoken.swin import Swin

ARCH = dict(embed_dims=12, depths=(2, 2, 2), num_heads=(2, 3, 6))


def build(**options):
    torch.manual_seed(0)
    options = {'arch': ARCH, 'img_size': 64, 'window_size': 4, 'drop_path_rate': 0.0, **options}
    built = Swin(**options)
    for parameter in built.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.2)
    return built.eval()


def images(height=64, width=64, batch=2):
    draw = torch.Generator().manual_seed(1)
    return torch.randn(batch, 3, height, width, generator=draw)
