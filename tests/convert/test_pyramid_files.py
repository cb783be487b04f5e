"""Released files of CAT and DWNet say what they are of, and compute what they computed there."""

import re

import pytest
import torch
from foreign_models import build_converted
from references import close, read_reference

from mmtoken.cat import CAT
from mmtoken.convert.conversion import Hints
from mmtoken.convert.recognise import convert
from mmtoken.dwnet import DWNet
from mmtoken.errors import UserError
from mmtoken.swin import Swin


@pytest.mark.parametrize('name', ['cat_dense_1', 'cat_dense_2', 'dwnet_dense_1', 'dwnet_dense_2'])
@torch.no_grad()
def test_a_dense_file_alone_gives_the_backbone_and_its_outputs(name):
    reference = read_reference(name)
    conversion = convert(reference['state'])

    found = build_converted(conversion)(reference['input']['image'])

    assert conversion.family == name.partition('_')[0]
    changed = [fate.why for fate in conversion.report.values() if fate.what == 'changed']
    assert changed and all(changed)
    assert len(found) == len(reference['output'])
    for index, ours in enumerate(found):
        close(ours, reference['output'][f'feature_{index}'])


# As the released names have them.
OLD = {
    'cat': (('absolute_pos_embed', 'ape'), ('attn.w_msa.', 'attn.')),
    'dwnet': (('.attn.', '.attn2conv.'), ('.norm2.', '.bn.')),
    'swin': (('attn.w_msa.', 'attn.'),),
}
BOTH = (
    ('projection', 'proj'),
    ('stages.', 'layers.'),
    ('ffn.layers.0.0', 'mlp.fc1'),
    ('ffn.layers.1', 'mlp.fc2'),
)


def in_unit(match):
    """What CAT calls a block, by its place in a unit of three."""
    unit, place = divmod(int(match[1]), 3)
    return f'.{("pre_ipsa", "cpsa", "post_ipsa")[place]}_blocks.{unit}.'


def released(backbone, family):
    """The state of a backbone by the names of the released code."""
    state = {}
    for name, value in backbone.state_dict().items():
        old = name.replace(f'norm{len(backbone.stages) - 1}.', 'norm.', name.startswith('norm'))
        for ours, theirs in (*BOTH, *OLD[family]):
            old = old.replace(ours, theirs)
        state[re.sub(r'\.blocks\.(\d+)\.', in_unit, old) if family == 'cat' else old] = value
    return state


@pytest.mark.parametrize('arch', ['tiny', 'base'])
@pytest.mark.parametrize('kernel', ['static', 'inhomogeneous'])
def test_presets_of_dwnet_are_known_by_their_sizes(arch, kernel):
    with torch.device('meta'):
        state = released(DWNet(arch, kernel=kernel), 'dwnet')

    found = convert(state).backbone

    assert found == dict(type='DWNet', arch=arch) | (
        {} if kernel == 'static' else dict(kernel=kernel)
    )


@pytest.mark.parametrize('arch', ['tiny', 'small', 'base'])
def test_presets_of_cat_are_known_by_their_sizes(arch):
    with torch.device('meta'):
        state = released(CAT(arch), 'cat')

    assert convert(state).backbone == dict(type='CAT', arch=arch, img_size=224)


@pytest.mark.parametrize('size', [24, 36, 40, 64])
def test_windows_that_grids_bound_tell_the_image_size(size):
    """Without positions nothing else does; grids of odd sides are rounded up."""
    arch = dict(embed_dims=8, depths=(1, 1, 1), num_heads=(2, 2, 2))
    backbone = CAT(arch, img_size=size, use_abs_pos_embed=False)
    state = released(backbone, 'cat')

    found = convert(state).backbone

    windows = [stage.blocks[1].attn.window_size for stage in backbone.stages]
    again = build_converted(convert(state))
    assert [stage.blocks[1].attn.window_size for stage in again.stages] == windows
    assert ('img_size' in found) == (windows[-1] < 7)


def test_positions_of_no_square_image_ask_for_its_size():
    state = read_reference('cat_2')['state']

    with pytest.raises(UserError, match=r'128 absolute positions .*; say .* with --img-size'):
        convert(state)


@pytest.mark.parametrize(
    ('name', 'window', 'says'),
    [
        ('dwnet_idynamic_2', None, r'no windows of 7; say how large they are with --window-size$'),
        ('dwnet_static_2', 7, r'no windows of 7; say .* with --window-size 5, or leave it out'),
        ('dwnet_dynamic_1', 5, r'no windows of 5; say .* with --window-size 7, or leave it out'),
    ],
)
def test_windows_that_weights_do_not_have_are_refused(name, window, says):
    state = read_reference(name)['state']

    with pytest.raises(UserError, match=says):
        convert(state, None, Hints(img_size=(48, 64), window_size=window))


def test_what_says_nothing_of_a_cat_is_refused():
    with pytest.raises(UserError, match='--window-size says nothing of'):
        convert(read_reference('cat_1')['state'], None, Hints(window_size=7))


def test_a_dense_swin_has_the_outputs_that_it_norms():
    arch = dict(embed_dims=8, depths=(1, 1, 1), num_heads=(2, 2, 2))
    state = Swin(arch, window_size=4, out_indices=(0, 2)).state_dict()

    conversion = convert(dict(state))

    assert conversion.backbone['out_indices'] == (0, 2)
    assert len(build_converted(conversion)(torch.zeros(1, 3, 64, 64))) == 2


@torch.no_grad()
def test_a_released_dense_swin_computes_the_same_at_every_size():
    """Its positions are a map, and it pads and shifts what is no larger than a window."""
    arch = dict(embed_dims=8, depths=(2, 2), num_heads=(2, 2))
    options = dict(img_size=(32, 48), window_size=4, out_indices=(0, 1), use_abs_pos_embed=True)
    theirs = Swin(arch, pad_small_map=True, **options).eval()
    for value in theirs.parameters():
        value.normal_(std=0.2)
    state = released(theirs, 'swin')
    state['absolute_pos_embed'] = state['absolute_pos_embed'].mT.unflatten(2, (8, 12))
    for part in ('norm.weight', 'norm.bias', 'reduction.weight'):
        name = f'layers.0.downsample.{part}'
        # (…, C·4) → (…, C, row, column) → (…, column, row, C) → (…, 4·C)
        state[name] = state[name].unflatten(-1, (-1, 2, 2)).transpose(-3, -1).flatten(-3)

    conversion = convert(state)

    ours = build_converted(conversion).eval()
    assert conversion.backbone['img_size'] == (32, 48)
    for size in ((32, 48), (16, 16), (12, 20)):
        image = torch.randn(1, 3, *size)
        for found, expected in zip(ours(image), theirs(image), strict=True):
            close(found, expected)
