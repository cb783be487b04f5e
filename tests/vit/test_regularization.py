"""What is dropped in training, where and how often, and what recomputing costs."""

import pytest
import torch
from torch import Tensor, nn

from mmtoken.tokens import Tokens
from mmtoken.vit import TokenAttention, TokenBlock, TokenViT

ARCH = dict(embed_dims=24, num_layers=3, num_heads=3, feedforward_channels=48)
LINEAR = dict(type='LinearProjection')
RATE = 0.3


def small(**options) -> TokenViT:
    torch.manual_seed(0)
    return TokenViT(**{'arch': ARCH, 'img_size': 32, 'patch_size': 4, **options})


def images(batch: int = 8) -> Tensor:
    return torch.randn(batch, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def zeros(x: Tensor) -> float:
    """The share of numbers that are zero."""
    return (x == 0).float().mean().item()


def entering(module: nn.Module, run) -> Tensor:
    """What enters a module while a function runs."""
    seen = []
    with module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])):
        run()
    return seen[0]


DROPPED = {
    'embedding': lambda model: model.embed(images()).x,
    'output projection': lambda model: model.layers[1].attn(model.embed(images())).x,
    'hidden layer': lambda model: entering(model.layers[1].ffn.layers[1], lambda: model(images())),
    'output of the MLP': lambda model: model.layers[1].ffn(torch.randn(8, 65, 24), torch.zeros(())),
}


@pytest.mark.parametrize('place', DROPPED)
def test_drop_rate_is_the_share_that_is_dropped_in_training(place):
    model = small(drop_rate=RATE)

    trained, evaluated = DROPPED[place](model.train()), DROPPED[place](model.eval())

    assert zeros(trained) == pytest.approx(RATE, abs=0.02)
    assert zeros(evaluated) == 0


def single_tokens(window_size: int, num_aux: int) -> tuple[TokenAttention, Tokens]:
    """Attention in which every patch is alone, so that a dropped weight leaves nothing of it; the
    projections are the identity.
    """
    torch.manual_seed(0)
    attention = TokenAttention(6, 3, LINEAR, attn_drop=RATE, window_size=window_size)
    with torch.no_grad():
        attention.qkv.weight.copy_(torch.eye(6).repeat(3, 1))
        attention.proj.weight.copy_(torch.eye(6))
        attention.qkv.bias.zero_()
        attention.proj.bias.zero_()
    grid = (2, 2) if window_size else (1, 1)
    return attention, Tokens(torch.randn(2000, num_aux + grid[0] * grid[1], 6), grid, num_aux)


@pytest.mark.parametrize(('window_size', 'num_aux'), [(0, 0), (1, 0)])
def test_attn_drop_rate_is_the_share_of_attention_that_is_dropped_in_training(window_size, num_aux):
    attention, tokens = single_tokens(window_size, num_aux)

    trained = attention.train()(tokens).x
    evaluated = attention.eval()(tokens).x

    assert zeros(trained) == pytest.approx(RATE, abs=0.02)
    torch.testing.assert_close(trained, evaluated / (1 - RATE) * (trained != 0))


def test_attention_of_auxiliary_tokens_is_dropped_beside_windows_too():
    attention, tokens = single_tokens(window_size=1, num_aux=1)
    tokens = tokens.with_(x=tokens.x * torch.tensor([1.0, 0, 0, 0, 0])[:, None])

    trained = attention.train()(tokens).x

    # Of its five keys, only the auxiliary token itself has a value.
    assert zeros(trained[:, 0]) == pytest.approx(RATE, abs=0.02)


def test_the_backbone_hands_attn_drop_rate_to_every_layer():
    model = small(attn_drop_rate=RATE)

    assert [layer.attn.attn_drop for layer in model.layers] == [RATE] * 3


@pytest.mark.parametrize('branch', ['attention', 'MLP'])
def test_drop_path_rate_is_the_share_of_images_that_skip_a_branch(branch):
    torch.manual_seed(0)
    block = TokenBlock(6, 3, 12, LINEAR, drop_path_rate=RATE)
    other = block.ffn.layers[1] if branch == 'attention' else block.attn.proj
    nn.init.zeros_(other.weight)
    nn.init.zeros_(other.bias)
    tokens = Tokens(torch.randn(2000, 5, 6), (2, 2), 1)

    trained = block.train()(tokens).x - tokens.x
    evaluated = block.eval()(tokens).x - tokens.x

    taken = trained.abs().flatten(1).amax(1) > 0
    assert 1 - taken.float().mean().item() == pytest.approx(RATE, abs=0.03)
    expected = evaluated / (1 - RATE) * taken[:, None, None]
    torch.testing.assert_close(trained, expected, rtol=1e-4, atol=1e-5)


def test_drop_path_of_both_branches_grows_linearly_with_depth():
    model = small(arch=dict(ARCH, num_layers=5), drop_path_rate=0.4)

    for rates in (
        [layer.drop_path.drop_prob for layer in model.layers],
        [layer.ffn.dropout_layer.drop_prob for layer in model.layers],
    ):
        assert rates == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


@pytest.mark.parametrize(
    ('with_cp', 'learns', 'runs'), [(True, True, 2), (True, False, 1), (False, True, 1)]
)
def test_with_cp_runs_every_layer_again_where_there_is_a_backward_pass(with_cp, learns, runs):
    model, counts = small(with_cp=with_cp, out_type='raw').train(), [0, 0, 0]
    for index, layer in enumerate(model.layers):

        def count(*_, index=index) -> None:
            counts[index] += 1

        layer.ln1.register_forward_pre_hook(count)

    with torch.set_grad_enabled(learns):
        (out,) = model(images(2))
    if learns:
        out.sum().backward()

    assert counts == [runs] * 3


def test_with_cp_keeps_less_for_the_backward_pass():
    def saved(with_cp: bool) -> int:
        numbers = []
        model = small(with_cp=with_cp, out_type='raw').train()
        hooks = torch.autograd.graph.saved_tensors_hooks(
            lambda t: numbers.append(t.numel()) or t, lambda t: t
        )
        with hooks:
            model(images(2))
        return sum(numbers)

    assert saved(with_cp=True) < saved(with_cp=False)
