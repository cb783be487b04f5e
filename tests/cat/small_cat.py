"""A CAT that tests can afford, and images for it."""

import torch

from mmtoken.cat import CAT

ARCH = dict(embed_dims=12, depths=(1, 2, 1), num_heads=(2, 3, 6))


def build_cat(std=0.2, **options):
    """In evaluation mode, its weights far from where they start."""
    torch.manual_seed(0)
    options = {'arch': ARCH, 'img_size': 64, 'window_size': 4, 'drop_path_rate': 0.0, **options}
    built = CAT(**options)
    for parameter in built.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=std)
    return built.eval()


def images(height=64, width=64, batch=2):
    draw = torch.Generator().manual_seed(1)
    return torch.randn(batch, 3, height, width, generator=draw)
