"""Weights that the authors' code wrote become ours, and give the logits that it left of them."""

from functools import partial

import pytest
from mmpretrain.registry import MODELS
from references import read_reference
from weights_table import Row

from mmtoken.convert import convert_state_dict
from mmtoken.convert.conversion import Hints
from mmtoken.convert.recognise import convert

# Whose code it was, how the family is called here, and which head and neck a classifier has.
_CLASS_TOKEN = dict(type='VisionTransformerClsHead'), None
_MEAN = dict(type='LinearClsHead'), dict(type='GlobalAveragePooling')
RECORDED = {
    'life_deit_1': ("NeurAI-Lab/LIFE's DeiT", 'life', *_CLASS_TOKEN),
    'life_deit_2': ("NeurAI-Lab/LIFE's DeiT", 'life', *_CLASS_TOKEN),
    'life_swinv2_1': ("NeurAI-Lab/LIFE's Swin V2", 'swin', *_MEAN),
    'tl_align_1': ('Euphoria16/TL-Align', 'timm', *_CLASS_TOKEN),
    'swin_1': ('microsoft/Swin-Transformer', 'swin', *_MEAN),
    **{f'cat_{number}': ('linhezheng19/CAT', 'cat', *_MEAN) for number in (1, 2)},
    **{
        f'dwnet_{kind}_{number}': ('Atten4Vis/DemystifyLocalViT', 'dwnet', *_MEAN)
        for kind in ('static', 'dynamic', 'idynamic')
        for number in (1, 2)
    },
}
# What the authors' code did not build, or could not run without a GPU.
_NOT_THEIRS = {
    'dwnet_dynamic': ', its operator put into its block by hand',
    'dwnet_idynamic': ', the sum over its kernel by the documented formula',
}
# What files do not say of themselves.
_HINTS = {
    'life_deit_1': ('num_heads',),
    'life_deit_2': ('num_heads',),
    'life_swinv2_1': ('window_size',),
    'tl_align_1': ('num_heads',),
    'cat_2': ('img_size',),
    'dwnet_static_2': ('img_size',),
    'dwnet_dynamic_2': ('img_size',),
    'dwnet_idynamic_2': ('img_size', 'window_size'),
}
LV_VITS = ('lv_vit_1', 'lv_vit_2')
# Made anew where a file has none, as those recorded here.
MADE_ANEW = ('relative_coords_table', 'relative_position_index')


def recorded(name):
    """What the authors' code left: weights, what they became, and images and their logits."""
    reference = read_reference(name)
    said = {hint: reference['meta'][hint].tolist() for hint in _HINTS.get(name, ())}
    conversion = convert(reference['state'], None, Hints(**said))
    images = reference['input'].get('mixed_image', reference['input']['image'])
    return reference['state'], conversion, images, reference['output']['logits']


def measured_logits(name):
    """The largest difference from logits of the authors' code; of one size."""
    state, conversion, images, logits = recorded(name)
    *_, head, neck = RECORDED[name]
    classes, channels = state['head.weight'].shape
    head = dict(head, num_classes=classes, in_channels=channels)
    backbone = conversion.backbone
    model = MODELS.build(dict(type='ImageClassifier', backbone=backbone, neck=neck, head=head))
    left, unknown = model.load_state_dict(conversion.state, strict=False)
    assert not unknown and all(key.endswith(MADE_ANEW) for key in left)
    return (model.eval()(images) - logits).abs().max().item(), None


def measured_lv_vit(name):
    """The same of an LV-ViT, whose config no file says; of one size."""
    reference = read_reference(name)
    meta = {key: value.item() for key, value in reference['meta'].items()}
    width = meta['embed_dims']
    arch = dict(embed_dims=width, num_layers=meta['depth'], num_heads=meta['num_heads'])
    arch['feedforward_channels'] = meta['mlp_ratio'] * width
    options = dict(img_size=meta['img_size'], residual_scale=meta['skip_lam'], out_type='raw')
    logits = reference['output']['eval_logits']
    head = dict(type='TokenLabelHead', num_classes=logits.shape[1], in_channels=width)
    backbone = dict(type='LVViT', arch=arch, **options)
    model = MODELS.build(dict(type='TokenLabelClassifier', backbone=backbone, head=head))
    model.load_state_dict(convert_state_dict(reference['state'], 'lv-vit'), strict=True)
    return (model.eval()(reference['input']['image']) - logits).abs().max().item(), None


@pytest.mark.parametrize('name', RECORDED)
def test_logits_are_those_of_the_released_code(name):
    assert recorded(name)[1].family == RECORDED[name][1]
    assert measured_logits(name)[0] < 1e-5


def test_a_swin_v2_without_its_table_is_said_to_leave_something_open():
    assert 'pretrained_window_sizes' in recorded('life_swinv2_1')[1].notes[0]


@pytest.mark.parametrize('name', LV_VITS)
def test_logits_of_lv_vit_are_those_of_the_released_code(name):
    assert measured_lv_vit(name)[0] < 1e-5


def rows():
    """The rows of docs/weights.md that these tests hold."""
    found = []
    version = 'tests/data/references'
    for name, (weights, *_) in RECORDED.items():
        source = f"the authors' code, recorded as `{name}`{_NOT_THEIRS.get(name[:-2], '')}"
        found.append(Row(weights, source, partial(measured_logits, name), version, 'logits'))
    for name in LV_VITS:
        source = f"the authors' code, recorded as `{name}`"
        measure = partial(measured_lv_vit, name)
        found.append(Row('zihangJiang/TokenLabeling', source, measure, version, 'logits'))
    return found
