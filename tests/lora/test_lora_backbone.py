"""A backbone that stays as it is, and additions that learn."""

import copy
import pickle

import pytest
import torch
from mmpretrain.registry import MODELS
from torch import nn

from mmtoken.errors import UserError
from mmtoken.lora import LoRABackbone

ARCH = dict(embed_dims=24, num_layers=3, num_heads=3, feedforward_channels=48)
ALL = ('attn.qkv', 'attn.proj', r'layers\.\d\.ffn\.layers\.[\d.]+')


def plain(**options) -> dict:
    return dict(type='TokenViT', arch=ARCH, img_size=32, patch_size=8, out_type='featmap') | options


def build(targets=ALL, rank=2, alpha=4, drop_rate=0.0, **options) -> LoRABackbone:
    """One whose additions are drawn, as after some steps."""
    torch.manual_seed(0)
    cfg = dict(targets=targets, rank=rank, alpha=alpha, drop_rate=drop_rate)
    backbone = MODELS.build(dict(type='LoRABackbone', module=plain(**options), **cfg)).eval()
    for name, parameter in backbone.named_parameters():
        if name.endswith('lora_up.weight'):
            nn.init.normal_(parameter, std=0.1)
    return backbone


def images():
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def merged(backbone: LoRABackbone) -> dict[str, torch.Tensor]:
    """The plain backbone's weights with the additions in them."""
    found = {}
    for name, value in backbone.module.state_dict().items():
        if '.lora_' in name:
            continue
        place, _, last = name.rpartition('.original_layer.')
        if place and last == 'weight':
            layer = backbone.module.get_submodule(place)
            value = value + layer.scaling * layer.lora_up.weight @ layer.lora_down.weight
        found[name.replace('.original_layer', '')] = value
    return found


@pytest.mark.parametrize(
    ('targets', 'options'),
    [
        (('attn.qkv',), {}),
        (ALL, {}),
        # The second layer makes values alone.
        (('attn.qkv', 'attn.value'), dict(pattern='FSF')),
        (('qkv.linear',), dict(projection=dict(type='LIFEProjection'))),
        (('ffn.w12', 'ffn.w3'), dict(mlp=dict(type='SwiGLU'))),
    ],
)
def test_additions_are_those_to_the_weights(targets, options):
    backbone = build(targets, **options)
    expected = MODELS.build(plain(**options)).eval()
    expected.load_state_dict(merged(backbone))

    torch.testing.assert_close(backbone(images())[0], expected(images())[0])
    assert not torch.equal(backbone(images())[0], MODELS.build(plain(**options))(images())[0])


def test_additions_start_at_nothing():
    torch.manual_seed(0)
    backbone = MODELS.build(dict(type='LoRABackbone', module=plain(), targets=ALL)).eval()
    expected = MODELS.build(plain()).eval()
    expected.load_state_dict(merged(backbone))

    assert torch.equal(backbone(images())[0], expected(images())[0])


@pytest.mark.parametrize(
    ('options', 'learning'),
    [({}, {'0', '1', '2'}), (dict(frozen_stages=1), {'1', '2'}), (dict(out_indices=1), {'0', '1'})],
)
def test_additions_learn_alone_where_layers_run_and_are_not_frozen(options, learning):
    backbone = build(**options).train()

    backbone(images())[0].sum().backward()

    names = [name for name, p in backbone.named_parameters() if p.requires_grad]
    assert {name.split('.')[2] for name in names} == learning
    assert all('.lora_' in name for name in names)
    # Under DistributedDataParallel one without a gradient is an error.
    gradients = [name for name, p in backbone.named_parameters() if p.grad is not None]
    assert gradients == names


def test_it_is_the_backbone_that_it_holds():
    backbone = build(out_indices=(0, 2))
    weights = torch.ones(2, 17, 1)

    _, trace = backbone(images(), trace=weights)

    assert trace.shape == (2, 17, 1)
    assert backbone.out_strides == (8, 8) and backbone.out_channels == (24, 24)
    assert backbone.layers is backbone.module.layers and backbone.img_size == (32, 32)
    with pytest.raises(AttributeError, match='nonsense'):
        _ = backbone.nonsense


def test_depths_are_those_of_the_layers():
    name = 'backbone.module.layers.1.attn.qkv.lora_up.weight'

    assert build().get_layer_depth(name, 'backbone.') == (2, 5)
    assert build().get_layer_depth('neck.weight', 'backbone.') == (4, 5)


def test_copies_compute_the_same():
    backbone = build()

    for twin in (copy.deepcopy(backbone), pickle.loads(pickle.dumps(backbone))):
        assert torch.equal(twin(images())[0], backbone(images())[0])


@pytest.fixture
def public(tmp_path):
    """A file of the backbone's weights, and the config that names it."""
    torch.manual_seed(1)
    state = MODELS.build(plain()).state_dict()
    path = tmp_path / 'public.pth'
    torch.save({f'backbone.{name}': value for name, value in state.items()}, path)
    return dict(type='Pretrained', checkpoint=str(path), prefix='backbone.'), state


class Detector(nn.Module):
    """A backbone with something before and behind it."""

    def __init__(self, **options):
        super().__init__()
        self.stem = nn.Linear(2, 2)
        self.backbone = build(**options)
        self.head = nn.Linear(2, 2)


def test_pretrained_weights_are_loaded_once_and_by_their_own_names(public):
    init_cfg, state = public
    backbone = build(init_cfg=init_cfg)

    backbone.init_weights()
    loaded = merged(backbone.requires_grad_(False))
    nn.init.zeros_(backbone.module.ln1.weight)
    backbone.init_weights()

    assert torch.equal(loaded['pos_embed'], state['pos_embed'])
    assert torch.equal(
        backbone.module.layers[0].attn.qkv.original_layer.weight, state['layers.0.attn.qkv.weight']
    )
    assert not backbone.module.ln1.weight.any()


def test_a_state_dict_holds_additions_and_all_of_the_others(public):
    own = Detector(init_cfg=public[0]).state_dict()

    names = [name for name in own if not name.startswith('backbone.')]
    assert names == ['stem.weight', 'stem.bias', 'head.weight', 'head.bias']
    assert len(own) == len(names) + 3 * 4 * 2
    assert all('.lora_' in name for name in own if name not in names)


def test_a_state_dict_brings_the_pretrained_weights_along(public):
    trained, fresh = (Detector(init_cfg=public[0]) for _ in range(2))
    trained.backbone.init_weights()
    for name, parameter in trained.named_parameters():
        if '.lora_' in name:
            nn.init.normal_(parameter)

    fresh.load_state_dict(trained.state_dict())

    expected = trained.backbone.eval()(images())[0]
    assert torch.equal(fresh.backbone.eval()(images())[0], expected)


@pytest.mark.parametrize('lost', ['head.bias', 'backbone.module.layers.1.attn.proj.lora_up.weight'])
def test_what_a_state_dict_lacks_is_missed(public, lost):
    model = Detector(init_cfg=public[0])
    state = model.state_dict()
    del state[lost]

    with pytest.raises(RuntimeError, match=f'Missing key.*{lost}'):
        model.load_state_dict(state)


def test_what_a_model_lacks_is_unexpected(public):
    model = Detector(init_cfg=public[0])
    state = {**model.state_dict(), 'backbone.module.layers.7.ln1.weight': torch.zeros(24)}

    with pytest.raises(RuntimeError, match='Unexpected key'):
        model.load_state_dict(state)


def test_without_the_file_of_the_weights_additions_are_refused(tmp_path):
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'gone.pth'))
    model = Detector(init_cfg=init_cfg)

    with pytest.raises(UserError, match='gone.pth does not exist'):
        model.load_state_dict(model.state_dict())


def test_weights_that_come_from_no_file_are_saved_too():
    trained, fresh = Detector(), Detector()
    nn.init.normal_(trained.backbone.module.layers[0].attn.proj.original_layer.weight)

    fresh.load_state_dict(trained.state_dict())

    assert torch.equal(fresh.backbone(images())[0], trained.backbone(images())[0])


@pytest.mark.parametrize(
    ('options', 'text'),
    [
        (dict(rank=0), 'rank 0 is not a whole number from 1 up; use one, such as 8'),
        (dict(alpha=0), 'alpha 0 is not a number above 0; use one, such as 8'),
        (dict(drop_rate=1.0), 'drop_rate 1.0 is not a probability'),
        (dict(targets=()), r"targets \(\) names no layers; use names, such as \('attn.qkv',\)"),
        (dict(targets=[dict(type='qkv')]), r"targets \[{'type': 'qkv'}\] names no layers"),
        (dict(targets='('), "targets '\\(' is neither a name nor a regular expression"),
        (dict(targets='attn.qvk'), "'attn.qvk' is no linear .*; did you mean 'attn.qkv'?"),
        (dict(targets=('attn.qkv', 'x')), "'x' is no .*; its layers end in attn.qkv, attn.proj"),
    ],
)  # fmt: skip
def test_what_has_no_meaning_is_refused_with_what_would(options, text):
    with pytest.raises(UserError, match=text):
        build(**options)


def test_what_is_no_config_is_refused():
    with pytest.raises(UserError, match="module 'deit-tiny' is no config of a backbone; use one"):
        LoRABackbone('deit-tiny')


def test_pyramids_are_held_as_well():
    arch = dict(embed_dims=12, depths=(1, 1), num_heads=(2, 2))
    swin = dict(type='Swin', arch=arch, img_size=32, window_size=2, out_indices=(1,))
    backbone = MODELS.build(dict(type='LoRABackbone', module=swin, targets='qkv')).train()

    backbone(images())[0].sum().backward()

    learning = [name for name, p in backbone.named_parameters() if p.requires_grad]
    assert len(learning) == 4 and all('w_msa.qkv.lora_' in name for name in learning)
    assert [n for n, p in backbone.named_parameters() if p.grad is not None] == learning


def test_backbones_of_others_are_left_to_mmpretrain():
    other = dict(type='VisionTransformer', arch='deit-tiny', img_size=32)

    with pytest.raises(UserError, match='cannot hold VisionTransformer, .*mmpretrain.LoRAModel'):
        LoRABackbone(other)
