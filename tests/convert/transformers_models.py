"""Small models of transformers, one of each kind that it has, and what leaves their layers."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import Distribution
from itertools import chain
from pathlib import Path
from types import ModuleType

import pytest
import torch
from foreign_models import apart, build_converted, randomize, tokens_of_layers
from torch import Tensor, nn

from mmtoken.convert.conversion import Conversion, Hints
from mmtoken.convert.recognise import convert

# As of tools/misc/setup_env.sh: OpenMMLab's libraries import it at every start where they find it.
FOLDER = Path(sys.prefix) / 'transformers'
SIZES = dict(
    hidden_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=128,
    image_size=32,
    patch_size=8,
)
SIZES_OF_SWIN = dict(image_size=64, embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4)


@dataclass(frozen=True)
class Peer:
    """A model of transformers.

    Args:
        kind: What its class and its config's begin with.
        options: Of its config.
        activation: What the user must say of its weights.
    """

    kind: str
    options: dict = field(default_factory=dict)
    activation: str | None = None

    @property
    def is_swin(self) -> bool:
        """Whether it is a pyramid."""
        return self.kind.startswith('Swin')

    @property
    def sizes(self) -> dict:
        """All that its config is told."""
        return {**(SIZES_OF_SWIN if self.is_swin else SIZES), **self.options}

    @property
    def images(self) -> tuple[tuple[int, int], ...]:
        """Heights and widths: at the training size, a larger and a smaller one; of Swin, one that
        windows and mergings do not divide.
        """
        side = self.sizes['image_size']
        if self.is_swin and side < 64:
            # There are no other images whose second grid is smaller than a window.
            return ((side, side),)
        return ((side, side), (96, 64), (72, 56) if self.is_swin else (16, 24))

    def build(self, transformers: ModuleType) -> nn.Module:
        """The model, with random weights."""
        config = getattr(transformers, f'{self.kind}Config')(**self.sizes)
        return randomize(getattr(transformers, f'{self.kind}Model')(config))

    def convert(self, state: dict[str, Tensor]) -> Conversion:
        """Its weights, with what the user must say of them."""
        if not self.is_swin:
            return convert(state, hints=Hints(num_heads=4, activation=self.activation))
        side = self.options.get('image_size')
        return convert(state, hints=Hints(window_size=4, img_size=side and (side, side)))


PEERS = {
    'ViT': Peer('ViT'),
    'ViT without biases': Peer('ViT', dict(qkv_bias=False)),
    'DeiT': Peer('DeiT'),
    'MAE': Peer('ViTMAE', dict(mask_ratio=0.0)),
    'MSN': Peer('ViTMSN'),
    'I-JEPA': Peer('IJepa'),
    'DINOv2': Peer('Dinov2'),
    'DINOv2, gated': Peer('Dinov2', dict(use_swiglu_ffn=True)),
    'DINOv2, registers': Peer('Dinov2WithRegisters'),
    'DINOv2, gated, registers': Peer('Dinov2WithRegisters', dict(use_swiglu_ffn=True)),
    'DINOv3': Peer('DINOv3ViT', dict(num_register_tokens=4)),
    'DINOv3, gated': Peer(
        'DINOv3ViT', dict(num_register_tokens=4, use_gated_mlp=True, hidden_act='silu')
    ),
    'DINOv3 without registers and biases': Peer(
        'DINOv3ViT', dict(num_register_tokens=0, query_bias=False, value_bias=False)
    ),
    'CLIP, OpenAI and MetaCLIP': Peer('CLIPVision', activation='QuickGELU'),
    'CLIP, LAION': Peer('CLIPVision', dict(hidden_act='gelu'), activation='GELU'),
    'Swin': Peer('Swin'),
    'Swin, positions, no biases': Peer('Swin', dict(use_absolute_embeddings=True, qkv_bias=False)),
    'Swin V2': Peer('Swinv2'),
    'Swin V2 of small images': Peer('Swinv2', dict(image_size=16)),
}


@contextmanager
def imported_transformers() -> Iterator[ModuleType]:
    """The package, from its folder; gone afterwards, lest a library finds it and uses it.

    Raises:
        ImportError: If it is not there.
    """
    import_module('mmtoken')
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FOLDER)
        try:
            package = import_module('transformers')
            package.utils.logging.disable_progress_bar()
            yield package
        finally:
            for name in [*sys.modules]:
                if name.partition('.')[0] == 'transformers':
                    del sys.modules[name]


def version() -> str:
    """That of the package, without importing it."""
    places = ({'path': [str(FOLDER)]}, {})
    found = (Distribution.discover(name='transformers', **place) for place in places)
    return next((each.version for each in chain(*found)), 'absent')


def measure(name: str) -> tuple[float, float | None]:
    """How far apart a model and ours are at the training size, and at most at other ones."""
    peer = PEERS[name]
    with imported_transformers() as transformers:
        model = peer.build(transformers)
        backbone = build_converted(peer.convert(model.state_dict()))
        found = [
            apart(our_tokens(backbone, pictures(size)), their_tokens(model, pictures(size)))
            for size in peer.images
        ]
    return found[0], max(found[1:], default=None)


def pictures(size: tuple[int, int]) -> Tensor:
    """Two random images of a height and a width."""
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def run(model: nn.Module, images: Tensor):
    """What a model of transformers puts out for images of any size, in the order of the patches."""
    taken, options = inspect.signature(model.forward).parameters, {}
    # Swin V2 takes it and fails where it has no embedding.
    if 'interpolate_pos_encoding' in taken and _has_position(model.embeddings):
        options['interpolate_pos_encoding'] = True
    if 'noise' in taken:
        count = images[0, 0].numel() // SIZES['patch_size'] ** 2
        options['noise'] = torch.arange(count).float().expand(len(images), -1)
    return model(images, output_hidden_states=True, **options)


def _has_position(embeddings: nn.Module) -> bool:
    return any(name.startswith('position_embedding') for name, _ in embeddings.named_parameters())


def their_tokens(model: nn.Module, images: Tensor) -> list[Tensor]:
    """What enters the first layer of a model of transformers, and what leaves each; of Swin, what
    leaves each block.
    """
    if type(model).__name__ not in ('SwinModel', 'Swinv2Model'):
        return [*run(model, images).hidden_states]
    return _of_blocks(model.encoder.layers, lambda: run(model, images), lambda made: made[0])


def our_tokens(backbone: nn.Module, images: Tensor) -> list[Tensor]:
    """The same of our backbone."""
    if not hasattr(backbone, 'stages'):
        return tokens_of_layers(backbone, images)
    return _of_blocks(backbone.stages, lambda: backbone(images), lambda made: made.x)


@torch.no_grad()
def _of_blocks(stages: nn.ModuleList, run, pick) -> list[Tensor]:
    seen = []
    hooks = [
        block.register_forward_hook(lambda _, given, made: seen.append(pick(made)))
        for stage in stages
        for block in stage.blocks
    ]
    run()
    for hook in hooks:
        hook.remove()
    return seen
