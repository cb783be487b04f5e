"""What a decision rests on: what flows through a classifier's last layers, and how a class's score
depends on it, so that losses can be made of both.

The backward pass of such a loss differentiates gradients once more, which no fused attention
kernel can. So the layers are run in two parts: up to the first place that is asked for as always,
and from there, for the images that are asked for, with the attention that torch composes of
differentiable operations, in float32 under mixed precision too (our design).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmtoken.errors import UserError
from mmtoken.tokens import Tokens
from mmtoken.vit import TokenViT
from mmtoken.vit.second_gradients import expecting_second_gradients


class Place(NamedTuple):
    """Where to look.

    Args:
        kind: 'tokens', those that leave a layer, (B, N, C); 'hidden', activations of its MLP, (B,
            N, M); 'attention', its attention weights, (B, h, N, N).
        layer: Its index from 0.
    """

    kind: str
    layer: int


@dataclass(frozen=True)
class Evidence:
    """How one score of each image depends on what flowed.

    Args:
        values: What flowed, by place.
        gradients: Of each image's score with respect to it; same shapes.
        num_aux: A, the auxiliary tokens before the patches.
    """

    values: dict[Place, Tensor]
    gradients: dict[Place, Tensor]
    num_aux: int

    def relevance(self, place: Place) -> Tensor:
        """Positive part of gradient × value."""
        return (self.gradients[place] * self.values[place]).clamp(min=0)


@dataclass(frozen=True)
class Attended:
    """One layer's attention, as what its weights and their gradient are made of.

    Args:
        out: What the heads made of the values, (B, N, C).
        q: Queries, (B, h, N, d).
        k: Keys, (B, h, N, d).
        v: Values, (B, h, N, d).
    """

    out: Tensor
    q: Tensor
    k: Tensor
    v: Tensor

    def weights(self) -> Tensor:
        """a, (B, h, N, N)."""
        return (self.q * self.q.shape[-1] ** -0.5 @ self.k.transpose(-2, -1)).softmax(dim=-1)

    def gradient(self, of_out: Tensor) -> Tensor:
        """Of a score with respect to a, from that with respect to `out`, since out = a·v."""
        # (B, N, C) → (B, h, N, d)
        return self.heads(of_out, self.q.shape[1]) @ self.v.transpose(-2, -1)

    @staticmethod
    def heads(t: Tensor, count: int) -> Tensor:
        """(B, N, C) → (B, h, N, d)."""
        return t.unflatten(-1, (count, -1)).transpose(1, 2)


def first_layer(backbone: TokenViT, places: Sequence[Place]) -> int:
    """The first layer that has to run so that a gradient can be taken twice."""
    first = min(place.layer + (place.kind == 'tokens') for place in places)
    # One that shares a map needs the layer that made it.
    while first < backbone.num_running and backbone.plans[first].shares:
        first -= 1
    return first


def run_watched(
    backbone: TokenViT,
    tokens: Tokens,
    start: int,
    places: Sequence[Place],
    differentiable: bool = True,
) -> tuple[Tokens, dict[Place, Tensor | Attended]]:
    """Run the layers from `start` on so that gradients of what they make can be taken.

    Args:
        backbone: The backbone.
        tokens: What enters layer `start`, or the pooling before it.
        start: As of `first_layer`.
        places: What is to be kept.
        differentiable: Whether gradients shall be differentiable, too.

    Returns:
        The tokens that left the last layer, and what was kept.
    """
    wanted, kept = set(places), {}
    x = tokens.x.float() if tokens.x.dtype.itemsize < 4 else tokens.x
    if not x.requires_grad:
        # What is before is frozen, or of no interest.
        x = x.detach().requires_grad_()
    forms = expecting_second_gradients() if differentiable else nullcontext()
    with torch.autocast(x.device.type, enabled=False), forms:
        tokens = tokens.with_(x=x)
        for index, (pool, layer) in [*enumerate(backbone.steps())][start:]:
            _keep_tokens(tokens, index - 1, wanted, kept)
            if pool is not None:
                tokens = pool(tokens)
            with _watch(layer, index, wanted, kept):
                tokens = layer(tokens)
        _keep_tokens(tokens, backbone.num_running - 1, wanted, kept)
    return tokens, kept


def evidence_of(
    scores: Tensor,
    kept: dict[Place, Tensor | Attended],
    places: Sequence[Place],
    num_aux: int,
    differentiable: bool,
) -> Evidence:
    """Take the gradients of scores.

    Args:
        scores: One score of each image, (B,), whose images do not depend on each other.
        kept: As of `run_watched`.
        places: Which of them.
        num_aux: A.
        differentiable: Whether a loss can be made of the evidence.
    """
    inputs = [_differentiated(kept[place]) for place in places]
    gradients = torch.autograd.grad(
        scores.sum(), inputs, create_graph=differentiable, retain_graph=True
    )
    values, found = {}, {}
    for place, gradient in zip(places, gradients, strict=True):
        passed = kept[place]
        if isinstance(passed, Attended):
            values[place], found[place] = passed.weights(), passed.gradient(gradient)
        else:
            values[place], found[place] = passed, gradient
    return Evidence(values, found, num_aux)


def check_places(backbone: TokenViT, places: Sequence[Place], name: str) -> None:
    """Refuse places that a backbone does not have.

    Args:
        backbone: The backbone.
        places: The places.
        name: Of the loss that asks for them.

    Raises:
        UserError: If one is the attention of a layer without one map over all tokens that is its
            own alone, or that drops weights of it, so that the gradient is not that of `Attended`.
    """
    for layer in (layer for kind, layer in places if kind == 'attention'):
        attention = backbone.layers[layer].attn
        if attention.window_size or attention.shares or attention.passes_on:
            raise UserError(
                f'{name} reads the attention of layer {layer}, which has windows or a map in '
                'common with another layer; give layers that are global and have a map of their own'
            )
        if attention.attn_drop:
            raise UserError(
                f'{name} reads the attention of layer {layer}, which drops {attention.attn_drop} '
                'of its weights in training; set attn_drop_rate=0.0 of the backbone'
            )


def _differentiated(passed: Tensor | Attended) -> Tensor:
    return passed.out if isinstance(passed, Attended) else passed


def _keep_tokens(tokens: Tokens, layer: int, wanted: set[Place], kept: dict) -> None:
    place = Place('tokens', layer)
    if place in wanted:
        kept[place] = tokens.x


@contextmanager
def _watch(layer: nn.Module, index: int, wanted: set[Place], kept: dict) -> Iterator[None]:
    """Keep what passes inside a layer while it runs."""
    hooks, made = [], {}
    hidden, attention = Place('hidden', index), Place('attention', index)
    if hidden in wanted:
        mlp = layer.ffn.hidden
        hooks.append(mlp.register_forward_hook(lambda _, i, out: kept.update({hidden: out})))
    if attention in wanted:
        hooks += [
            layer.attn.qkv.register_forward_hook(lambda _, i, out: made.update(v=out[2])),
            # Normed and turned, where the layer does that.
            layer.attn.turn.register_forward_hook(lambda _, i, out: made.update(qk=out)),
            layer.attn.proj.register_forward_pre_hook(lambda _, i: made.update(out=i[0])),
        ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
    if attention in wanted:
        v = Attended.heads(made['v'], layer.attn.num_heads)
        kept[attention] = Attended(made['out'], *made['qk'], v)
