"""A path through the supernet computes what a PSViT of its schedule and weights does."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmtoken.errors import UserError
from mmtoken.psvit import PSViT
from mmtoken.psvit.search import PSViTSupernet, SamplePathHook
from mmtoken.psvit.search.supernet import SCHEDULE_OPTIONS

SPACE = dict(units=4, widths=[12, 24], num_heads=[2, 3])
OPTIONS = dict(img_size=32, patch_size=4, num_aux_tokens=1)


def supernet(**options):
    torch.manual_seed(0)
    built = PSViTSupernet(SPACE, **{**OPTIONS, **options}).eval()
    for parameter in built.layers.parameters():
        nn.init.normal_(parameter, std=0.2)
    return built


def extract(net, path, **options):
    """A PSViT of the path's schedule with the weights that the path uses."""
    net.take(path)
    alone = PSViT(stages=net.space.stages(net.path), **OPTIONS, **options).eval()
    # The own names of what the path uses, by the supernet's.
    names, stage = {}, 0
    for unit in range(4):
        if unit in net.path.pools:
            stage += 1
            names[f'pools.{6 * stage}.'] = f'pools.{2 * unit}.'
        for second in range(2):
            bank = 6 * stage + 2 * (unit - stage) + second
            names[f'layers.{bank}.'] = f'layers.{2 * unit + second}.'
    state = {}
    for name, value in net.state_dict().items():
        start = '.'.join(name.split('.')[:2]) + '.'
        if start in names:
            state[name.replace(start, names[start], 1)] = value
        elif not name.startswith(('layers.', 'pools.')):
            state[name] = value
    for layer, plan in enumerate(alone.plans):
        attention = f'layers.{layer}.attn.'
        if any(name.startswith(f'{attention}value.') for name in state):
            # It has both.
            other = 'qkv.' if plan.shares else 'value.'
            state = {k: v for k, v in state.items() if not k.startswith(attention + other)}
        elif plan.shares:
            for kind in ('weight', 'bias'):
                made = state.pop(f'layers.{layer}.attn.qkv.{kind}')
                state[f'layers.{layer}.attn.value.{kind}'] = made.chunk(3)[2]
    alone.load_state_dict(state, strict=True)
    return alone


@pytest.mark.parametrize('projection', ['LinearProjection', 'LIFEProjection'])
@pytest.mark.parametrize('path', ['FFFS|FSFF', 'FS|FSFSFS', 'FFFFFF|FF'])
def test_a_path_is_a_psvit(path, projection):
    options = dict(projection=dict(type=projection))
    net, images = supernet(**options), torch.randn(2, 3, 32, 40)

    with torch.no_grad():
        alone = extract(net, path, **options)

        torch.testing.assert_close(net(images)[0], alone(images)[0])


def test_paths_take_turns_without_a_trace_of_each_other():
    net, images = supernet(), torch.randn(2, 3, 32, 32)

    outs = []
    with torch.no_grad():
        for path in ('FSFS|FSFS', 'FFFF|FFFF', 'FSFS|FSFS', 'FFFF|FFFF'):
            net.take(path)
            outs.append(net(images)[0])

    assert torch.equal(outs[0], outs[2]) and torch.equal(outs[1], outs[3])
    assert not torch.allclose(outs[0], outs[1])


@pytest.mark.parametrize('projection', ['LinearProjection', 'LIFEProjection'])
def test_every_weight_is_on_some_path_and_only_its_own_learn(projection):
    net = supernet(projection=dict(type=projection)).train()
    images, reached = torch.randn(2, 3, 32, 32), set()
    for schedule in net.space:
        net.take(schedule)
        net.zero_grad()
        net(images)[0].square().sum().backward()
        now = {n for n, p in net.named_parameters() if p.grad is not None and p.grad.abs().sum()}
        blocks = {name.split('.')[1] for name in now if name.startswith('layers.')}
        assert len(blocks) == 8
        reached |= now

    assert reached == {n for n, p in net.named_parameters() if p.requires_grad}


@pytest.mark.parametrize('path', ['FFFS|FSFF', 'FS|FSFSFS', 'FFFFFF|FF'])
def test_layers_have_the_depths_that_they_have_in_a_psvit(path):
    net = supernet()
    alone = extract(net, path)

    found, layers = [], dict(net.named_modules())
    numbers = {id(module): name for name, module in layers.items()}
    for _, layer in net.steps():
        found.append(net.get_layer_depth(f'backbone.{numbers[id(layer)]}.ln1.weight', 'backbone.'))
    expected = [alone.get_layer_depth(f'layers.{index}.ln1.weight') for index in range(8)]
    assert found == expected
    for name in ('pos_embed', 'ln1.weight', 'patch_embed.projection.weight'):
        assert net.get_layer_depth(name) == alone.get_layer_depth(name)
    assert net.get_layer_depth('head.fc.weight', 'backbone.') == (9, 10)


def test_recomputing_layers_changes_no_gradient():
    gradients = []
    for with_cp in (False, True):
        net = supernet(with_cp=with_cp).train()
        net.take('FSFF|FSFS')
        images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
        net(images)[0].square().sum().backward()
        gradients.append({n: p.grad for n, p in net.named_parameters() if p.grad is not None})

    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], msg=name)


@pytest.mark.parametrize('name', SCHEDULE_OPTIONS)
def test_what_is_searched_is_not_said(name):
    with pytest.raises(UserError, match=f'{name} says what is searched'):
        supernet(**{name: [1]})


def runner(backbone, iteration):
    model = nn.Module()
    model.backbone = backbone
    return SimpleNamespace(model=model, iter=iteration)


def paths(hook, net, iterations):
    drawn = []
    for iteration in iterations:
        hook.before_train_iter(runner(net, iteration), 0)
        drawn.append(str(net.path))
    return drawn


def test_a_step_has_the_same_path_on_every_process_and_after_an_interruption():
    net = supernet()

    whole = paths(SamplePathHook(seed=3), net, range(20))

    assert paths(SamplePathHook(seed=3), net, range(10, 20)) == whole[10:]
    assert paths(SamplePathHook(seed=4), net, range(20)) != whole
    assert len(set(whole)) > 10


def test_paths_of_other_backbones_are_not_drawn():
    with pytest.raises(UserError, match='the backbone is PSViT'):
        SamplePathHook().before_train_iter(runner(PSViT('2d-tiny'), 0), 0)
