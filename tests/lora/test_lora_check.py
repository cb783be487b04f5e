"""A config with mmpretrain's own LoRA around one of our backbones is refused; ours is let pass."""

import pytest
from mmengine.config import Config

from mmtoken.config_check.check import find_problems
from mmtoken.config_check.lora import lora_problems

OURS = dict(type='mmpretrain.TokenViT', arch='deit-tiny', out_type='featmap')
THEIRS = dict(type='mmpretrain.VisionTransformer', arch='deit-tiny', out_type='featmap')


def content(module: dict, **lora) -> dict:
    backbone = {'type': 'mmpretrain.LoRAModel', 'module': module, **lora}
    return dict(model=dict(type='EncoderDecoder', backbone=backbone))


def test_mmpretrains_lora_around_ours_is_refused():
    (problem,) = lora_problems(content(OURS, targets=[dict(type='qkv')]), 'mmseg')

    assert problem.certain
    assert problem.text.startswith('model.backbone is a LoRAModel around TokenViT, ')
    assert "use type='mmpretrain.LoRABackbone' with targets such as ('attn.qkv',)" in problem.text


@pytest.mark.parametrize(
    'case',
    [content(THEIRS, targets=[dict(type='qkv')]), content(OURS, type='mmpretrain.LoRABackbone')],
)
def test_other_pairs_are_let_pass(case):
    assert list(lora_problems(case, 'mmseg')) == []


def test_what_is_wrong_in_ours_is_found():
    lora = dict(type='LoRABackbone', module=dict(OURS, type='TokenViT'), targets='attn.qvk')
    model = dict(type='ImageClassifier', backbone=lora)

    (problem,) = find_problems(Config(dict(default_scope='mmpretrain', model=model)))

    assert problem.text.startswith("model.backbone: targets 'attn.qvk' is no linear layer")
