"""Small models of timm, one of each kind that it has, and the papers' own files of such models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import timm
import torch
import torch.nn.functional as F
from foreign_models import randomize
from torch import Tensor, nn

from mmtoken.convert.conversion import Hints

HEADS = 4
SIZES = dict(embed_dim=64, depth=2, num_heads=HEADS, num_classes=5)
# Patches a side, at the training size.
GRID = 4


@dataclass(frozen=True)
class Peer:
    """A model of timm.

    Args:
        family: Whose weights timm offers for it, or has the layout of.
        model: Its name in timm.
        options: What else is made of it.
        activation: What the user must say of its weights.
    """

    family: str
    model: str
    options: dict = field(default_factory=dict)
    activation: str | None = None

    @property
    def patch(self) -> int:
        """Its patch side in pixels."""
        return 14 if 'patch14' in self.model else 16

    @property
    def hints(self) -> Hints:
        """What must be said of its weights."""
        return Hints(num_heads=HEADS, activation=self.activation)

    def build(self, **options) -> nn.Module:
        """The model, with random weights."""
        options = {'img_size': GRID * self.patch, 'dynamic_img_size': True, **options}
        options = {**SIZES, **self.options, **options}
        return randomize(timm.create_model(self.model, pretrained=False, **options))


# Gates are made in one map, which wants an even number of hidden channels.
_EVEN = dict(embed_dim=96)
PEERS = {
    peer.model + ''.join(f' {name}' for name in peer.options if name != 'embed_dim'): peer
    for peer in (
        Peer('ViT, AugReg, DeiT, DINO', 'vit_tiny_patch16_224'),
        Peer('ViT with queries and keys normed', 'vit_tiny_patch16_224', dict(qk_norm=True)),
        Peer('ViT without class token', 'vit_medium_patch16_gap_240'),
        Peer('DeiT, distilled', 'deit_tiny_distilled_patch16_224'),
        Peer('DeiT III', 'deit3_small_patch16_224'),
        Peer('DINOv2', 'vit_small_patch14_dinov2'),
        Peer('DINOv2, registers', 'vit_small_patch14_reg4_dinov2'),
        Peer('DINOv2, gated, registers', 'vit_giant_patch14_reg4_dinov2', _EVEN),
        Peer('DINOv3', 'vit_small_patch16_dinov3'),
        Peer('DINOv3, biases', 'vit_small_patch16_dinov3_qkvb'),
        Peer('DINOv3, gated', 'vit_small_plus_patch16_dinov3'),
        Peer('CLIP, LAION', 'vit_base_patch16_clip_224', activation='GELU'),
        Peer(
            'CLIP, OpenAI and MetaCLIP',
            'vit_base_patch16_clip_quickgelu_224',
            activation='QuickGELU',
        ),
        Peer('SigLIP', 'vit_base_patch16_siglip_224', activation='GELU'),
        Peer('SigLIP 2', 'vit_so400m_patch16_siglip_256', activation='GELU-tanh'),
        Peer('EVA', 'eva_giant_patch14_224'),
        Peer('EVA-02, tiny and small', 'eva02_tiny_patch14_224'),
        Peer('EVA-02, base and large', 'eva02_base_patch14_224'),
    )
}


def other_sizes(patch: int) -> list[tuple[int, int]]:
    """Of images, in pixels, at which positions are stretched, or shrunk."""
    return [((GRID + 2) * patch, (GRID + 1) * patch), ((GRID - 1) * patch, GRID * patch)]


@torch.no_grad()
def tokens_of_blocks(model: nn.Module, images: Tensor) -> list[Tensor]:
    """What enters the first block of a model of timm, and what leaves each, (B, N, C) all."""
    seen = []
    hooks = [model.blocks[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))]
    for block in model.blocks:
        hooks.append(block.register_forward_hook(lambda _, given, made: seen.append(made)))
    model.forward_features(images)
    for hook in hooks:
        hook.remove()
    return seen


def as_dinov2(model: nn.Module, chunked: bool = False) -> dict[str, Tensor]:
    """The weights of a model of timm as facebookresearch/dinov2 writes them."""
    state = {name: value.clone() for name, value in model.state_dict().items()}
    state.pop('head.weight')
    state.pop('head.bias')
    channels = state['cls_token'].shape[-1]
    state['mask_token'] = torch.randn(1, channels)
    if 'reg_token' in state:
        state['register_tokens'] = state.pop('reg_token')
        # There the class token has a position, which timm adds to it.
        row = torch.randn(1, 1, channels)
        state['cls_token'] -= row
        state['pos_embed'] = torch.cat([row, state['pos_embed']], dim=1)
    names = {'mlp.fc1': 'mlp.w12', 'mlp.fc2': 'mlp.w3'} if _is_packed(state) else {}
    state = _renamed(state, names)
    if chunked:
        state = _renamed(state, {'blocks.0.': 'blocks.0.0.', 'blocks.1.': 'blocks.1.1.'})
    return state


def as_dinov3(model: nn.Module) -> dict[str, Tensor]:
    """The weights of a model of timm as facebookresearch/dinov3 writes them, keys with a bias that
    is masked.
    """
    names = {
        'reg_token': 'storage_tokens',
        'gamma_1': 'ls1.gamma',
        'gamma_2': 'ls2.gamma',
        'mlp.fc1_g': 'mlp.w1',
        'mlp.fc1_x': 'mlp.w2',
    }
    state = model.state_dict()
    if 'blocks.0.mlp.fc1_g.weight' in state:
        names['mlp.fc2'] = 'mlp.w3'
    state = _renamed(state, names)
    for name in ('head.weight', 'head.bias'):
        state.pop(name)
    channels = state['cls_token'].shape[-1]
    for name in [name for name in state if name.endswith('.q_bias')]:
        stem = name.removesuffix('q_bias')
        q, v = state.pop(name), state.pop(f'{stem}v_bias')
        state[f'{stem}qkv.bias'] = torch.cat([q, torch.randn(channels), v])
        mask = torch.ones(3, channels)
        mask[1] = 0
        state[f'{stem}qkv.bias_mask'] = mask.flatten()
    count = channels // HEADS // 4
    state['rope_embed.periods'] = 100 ** (torch.arange(count) / count)
    state['mask_token'] = torch.randn(1, channels)
    return state


def as_mae(model: nn.Module) -> dict[str, Tensor]:
    """The weights of a model of timm as facebookresearch/mae writes them while it pretrains."""
    state = dict(model.state_dict())
    state.pop('head.weight')
    state.pop('head.bias')
    for name in ('decoder_embed.weight', 'decoder_pos_embed', 'decoder_blocks.0.norm1.weight'):
        state[name] = torch.randn(3)
    return {**state, 'mask_token': torch.randn(1, 1, 4), 'decoder_pred.bias': torch.randn(3)}


def stretched_like_dinov2(model: nn.Module, position: Tensor, grid: tuple[int, int]) -> Tensor:
    """The position embedding of DINOv2 without registers at another size: by a factor that is a
    tenth of a patch too large (`interpolate_offset` of the released code).
    """
    row, patches = position[:, :1], position[:, 1:]
    side = model.patch_embed.grid_size[0]
    factors = [(count + 0.1) / side for count in grid]
    maps = patches.reshape(1, side, side, -1).permute(0, 3, 1, 2)
    maps = F.interpolate(maps, scale_factor=factors, mode='bicubic')
    return torch.cat([row, maps.flatten(2).transpose(1, 2)], dim=1)


def _is_packed(state: Mapping[str, Tensor]) -> bool:
    first, second = (state[f'blocks.0.mlp.fc{part}.weight'] for part in (1, 2))
    return first.shape[0] == 2 * second.shape[1]


def _renamed(state: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    found = {}
    for name, value in state.items():
        for old, new in names.items():
            name = name.replace(old, new)
        found[name] = value.clone()
    return found
