"""Pretrained weights cover the backbone, or the user is told what does not."""

import pytest
import torch
from mmengine.model import PretrainedInit
from torch import nn

from mmtoken.convert import convert_state_dict
from mmtoken.errors import UserError
from mmtoken.life import LIFEViT
from mmtoken.vit import TokenViT
from mmtoken.vit.position import adapt_position
from mmtoken.vit.pretrained import compare_state, load_pretrained

ARCH = dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)


def small(img_size=32, cls=TokenViT, **options):
    return cls(ARCH, img_size, 8, **options)


def save(path, model, prefix='backbone.', **extra):
    torch.save(
        {'state_dict': {**{prefix + k: v for k, v in model.state_dict().items()}, **extra}}, path
    )
    return str(path)


def test_weights_load_through_init_cfg(tmp_path):
    source = small()
    file = save(tmp_path / 'a.pth', source, **{'head.fc.weight': torch.zeros(1)})

    target = small(init_cfg=dict(type='Pretrained', checkpoint=file, prefix='backbone.'))
    target.init_weights()

    for a, b in zip(source.parameters(), target.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_list_of_init_cfgs_loads_as_strictly(tmp_path):
    file = save(tmp_path / 'a.pth', small(cls=LIFEViT))
    target = small(
        init_cfg=[
            dict(type='Xavier', layer='Linear'),
            dict(type='Pretrained', checkpoint=file, prefix='backbone.'),
        ]
    )

    with pytest.raises(UserError, match='do not cover the model'):
        target.init_weights()


def test_other_initializations_of_a_list_come_before_the_weights(tmp_path):
    source = small()
    weights = {k: v for k, v in source.state_dict().items() if not k.startswith('ln1')}
    torch.save(weights, tmp_path / 'a.pth')
    init_cfg = [
        dict(type='Constant', layer='LayerNorm', val=3.0),
        dict(type='Pretrained', checkpoint=str(tmp_path / 'a.pth'), allow_partial=True),
    ]
    target = small(init_cfg=init_cfg)

    target.init_weights()

    assert (target.ln1.weight == 3).all()
    assert torch.equal(target.layers[0].ln1.weight, source.layers[0].ln1.weight)
    assert target.init_cfg == init_cfg


@pytest.mark.parametrize('kind', ['Pretrained', 'mmengine.Pretrained', PretrainedInit])
@pytest.mark.parametrize('as_list', [False, True])
def test_every_way_to_write_pretrained_is_as_strict(tmp_path, kind, as_list):
    file = save(tmp_path / 'a.pth', small(cls=LIFEViT))
    init_cfg = dict(type=kind, checkpoint=file, prefix='backbone.')
    target = small(init_cfg=[init_cfg] if as_list else init_cfg)

    with pytest.raises(UserError, match='do not cover the model'):
        target.init_weights()


@pytest.mark.parametrize('kind', ['mmengine.Pretrained', PretrainedInit])
def test_every_way_to_write_pretrained_loads(tmp_path, kind):
    source = small()
    file = save(tmp_path / 'a.pth', source)
    target = small(init_cfg=dict(type=kind, checkpoint=file, prefix='backbone.'))

    target.init_weights()

    assert torch.equal(target.pos_embed, source.pos_embed)


def test_weights_of_a_distributed_training_load_by_the_prefix_without_it(tmp_path):
    source = small()
    file = save(tmp_path / 'a.pth', source, prefix='module.backbone.')

    coverage = load_pretrained(small(), file, 'backbone.')

    assert coverage.complete


def test_a_resized_position_embedding_is_reported(tmp_path):
    file = save(tmp_path / 'a.pth', small(64))

    coverage = load_pretrained(small(), file, 'backbone')

    assert coverage.resized == ['pos_embed']
    assert coverage.complete
    assert str(coverage) == '30 of 30 tensors, 1 resized (pos_embed)'


def test_what_was_found_is_logged(tmp_path, run_log):
    file = save(tmp_path / 'a.pth', small(64))

    load_pretrained(small(), file, 'backbone.')

    found = f'pretrained weights {file}: 30 of 30 tensors, 1 resized (pos_embed)'
    assert ('INFO', found) in run_log


def test_more_than_three_names_of_a_kind_are_counted():
    own = small().state_dict()
    few = {name: value for name, value in own.items() if not name.startswith('layers.1.attn')}

    coverage = compare_state(small(), {**few, 'a': own['cls_token']})

    missing = [f'layers.1.attn.{n}' for n in ('qkv.weight', 'qkv.bias', 'proj.weight')]
    assert str(coverage) == (
        f'26 of 30 tensors, 4 missing ({", ".join(missing)} and 1 more), 1 unexpected (a)'
    )
    kept = {name: value for name, value in own.items() if name not in missing}
    assert f'3 missing ({", ".join(missing)})' in str(compare_state(small(), kept))


@pytest.mark.parametrize(
    ('source', 'named'),
    [
        (dict(cls=LIFEViT), '8 missing|unexpected'),
        (dict(num_aux_tokens=2), r'1 unexpected \(dist_token\)'),
    ],
)
def test_partial_coverage_is_an_error(tmp_path, source, named):
    file = save(tmp_path / 'a.pth', small(**source))

    with pytest.raises(UserError, match=named):
        load_pretrained(small(), file, 'backbone.')


def test_partial_coverage_is_allowed_where_the_config_says_so(tmp_path):
    source = small(num_aux_tokens=2)
    file = save(tmp_path / 'a.pth', source)
    target = small(
        init_cfg=dict(type='Pretrained', checkpoint=file, prefix='backbone.', allow_partial=True)
    )

    target.init_weights()

    assert torch.equal(target.layers[1].attn.qkv.weight, source.layers[1].attn.qkv.weight)
    assert torch.equal(target.pos_embed[:, 1:], source.pos_embed[:, 2:])


@pytest.mark.parametrize('prefix', ['', 'backbone.', 'teacher.backbone.'])
def test_positions_are_resized_under_any_prefix(prefix):
    own = nn.ModuleDict({'teacher': nn.ModuleDict({'backbone': small()}), 'backbone': small()})
    own = own if prefix else small()
    weights = {**own.state_dict(), f'{prefix}pos_embed': small(64).pos_embed}

    coverage = compare_state(own, weights)

    assert coverage.resized == [f'{prefix}pos_embed']
    assert coverage.complete


def test_shapes_that_do_not_fit_are_counted():
    wide = TokenViT(dict(ARCH, feedforward_channels=96), 32, 8)

    coverage = compare_state(small(), wide.state_dict())

    assert coverage.mismatched == [
        f'layers.{i}.ffn.layers.{n}' for i in (0, 1) for n in ('0.0.weight', '0.0.bias', '1.weight')
    ]
    assert not coverage.complete


def test_positions_that_cannot_be_resized_are_left_where_allowed(tmp_path):
    file = save(tmp_path / 'a.pth', small())
    target = TokenViT(dict(ARCH, embed_dims=48, num_heads=6), 64, 8)
    before = target.pos_embed.clone()

    coverage = load_pretrained(target, file, 'backbone.', allow_partial=True)

    assert 'pos_embed' in coverage.mismatched
    assert torch.equal(target.pos_embed, before)


@pytest.mark.parametrize(
    ('source', 'target', 'loaded', 'own'),
    [
        (dict(), dict(num_aux_tokens=2), {0: 0}, [1]),
        (dict(), dict(num_aux_tokens=5, num_registers=4), {0: 0}, [1, 2, 3, 4]),
        (dict(num_aux_tokens=6), dict(num_aux_tokens=5, num_registers=4), {0: 0, 1: 2, 4: 5}, []),
        (dict(num_aux_tokens=4), dict(num_aux_tokens=5), {0: 0, 1: 1}, [2, 3, 4]),
        (dict(num_aux_tokens=6), dict(), {0: 0}, []),
    ],
    ids=['distillation is new', 'registers are new', 'distillation goes', 'fewer', 'all go'],
)
@pytest.mark.parametrize('img_size', [32, 64])
def test_each_auxiliary_token_gets_its_own_position(
    tmp_path, source, target, loaded, own, img_size
):
    source = small(img_size, **source)
    file = save(tmp_path / 'a.pth', source)
    target = small(**target)
    before = target.pos_embed.clone()

    load_pretrained(target, file, 'backbone.', allow_partial=True)

    for row, origin in loaded.items():
        assert torch.equal(target.pos_embed[:, row], source.pos_embed[:, origin])
    assert torch.equal(target.pos_embed[:, own], before[:, own])
    patches = adapt_position(source.pos_embed, source.aux_layout, before[:, -16:], {}, (4, 4))
    assert torch.equal(target.pos_embed[:, -16:], patches)


def dino(backbone):
    """The weights of a backbone as DINOv2 keeps them: registers have no position."""
    state = backbone.state_dict()
    state['pos_embed'] = torch.cat([state['pos_embed'][:, :1], state['pos_embed'][:, 5:]], dim=1)
    return state


@pytest.mark.parametrize('img_size', [32, 64])
def test_a_class_token_with_registers_that_have_no_position_loads_strictly(tmp_path, img_size):
    options = dict(num_aux_tokens=5, num_registers=4, out_type='raw')
    source, target = small(img_size, **options).eval(), small(**options).eval()
    with torch.no_grad():
        source.pos_embed[:, 1:5] = 0
    torch.save(dino(source), tmp_path / 'a.pth')

    coverage = load_pretrained(target, str(tmp_path / 'a.pth'))

    assert coverage.complete
    image = torch.randn(1, 3, 32, 32)
    torch.testing.assert_close(target(image), source(image))


def test_positions_that_no_auxiliary_token_has_load_strictly():
    options = dict(num_aux_tokens=5, num_registers=4, out_type='raw')
    source, target = small(**options), small(**options)
    state = source.state_dict()
    state['pos_embed'] = state['pos_embed'][:, 5:]

    target.load_state_dict(state)

    assert not target.pos_embed[:, :5].any()
    assert torch.equal(target.pos_embed[:, 5:], source.pos_embed[:, 5:])


@pytest.mark.parametrize(
    ('prefix', 'extra'),
    [
        ('backbone.', {}),
        ('teacher.backbone.', {'student.backbone.layers.0.ln1.weight': torch.zeros(24)}),
        ('', {}),
    ],
)
@pytest.mark.parametrize('allow_partial', [False, True])
def test_the_prefix_that_an_error_advises_loads(tmp_path, prefix, extra, allow_partial):
    source, target = small(), small()
    file = save(tmp_path / 'a.pth', source, prefix, **extra, **{'head.fc.weight': torch.zeros(1)})
    wrong = 'model.' if not prefix else ''
    advice = rf'no weights of TokenViT under the prefix {wrong!r}; .*prefix' + (
        f'={prefix!r}' if prefix else ' out'
    )
    with pytest.raises(UserError, match=advice):
        load_pretrained(target, file, wrong, allow_partial)

    load_pretrained(target, file, prefix, allow_partial=not prefix)

    assert torch.equal(target.pos_embed, source.pos_embed)


@pytest.mark.parametrize('allow_partial', [False, True])
def test_weights_by_other_names_are_not_taken_for_some_of_ours(tmp_path, allow_partial):
    torch.save({'blocks.0.attn.qkv.weight': torch.zeros(72, 24)}, tmp_path / 'timm.pth')

    with pytest.raises(
        UserError, match=r'such as blocks\.0\..* .tools/model_converters/convert\.py makes'
    ):
        load_pretrained(small(), str(tmp_path / 'timm.pth'), allow_partial=allow_partial)


def test_weights_by_other_names_load_when_converted_as_the_error_says(tmp_path):
    source = {'cls_token': torch.ones(1, 1, 24), 'blocks.0.norm1.bias': torch.ones(24)}
    torch.save(convert_state_dict(source, 'timm'), tmp_path / 'converted.pth')
    target = small()

    coverage = load_pretrained(target, str(tmp_path / 'converted.pth'), 'backbone.', True)

    assert coverage.found == 2
    assert target.layers[0].ln1.bias.sum() == 24


def test_the_switch_that_an_error_advises_loads_what_fits(tmp_path):
    source, target = small(num_aux_tokens=2), small()
    file = save(tmp_path / 'a.pth', source)
    with pytest.raises(UserError, match='or set allow_partial=True to load what fits'):
        load_pretrained(target, file, 'backbone.')

    load_pretrained(target, file, 'backbone.', allow_partial=True)

    assert torch.equal(target.cls_token, source.cls_token)


def test_positions_of_no_square_grid_load_at_the_size_that_an_error_advises(tmp_path):
    source, target = small((64, 24)), small((64, 24))
    file = save(tmp_path / 'a.pth', source)
    with pytest.raises(UserError, match='build the backbone at the img_size it was trained on'):
        load_pretrained(small(), file, 'backbone.')

    load_pretrained(target, file, 'backbone.')

    assert torch.equal(target.pos_embed, source.pos_embed)


@pytest.mark.parametrize('form', [dict, dino])
def test_positions_that_may_be_of_a_square_grid_are_warned_of(run_log, form):
    """Also where rows of auxiliary tokens are made to fit."""
    options = dict(num_aux_tokens=5, num_registers=4)
    square, wide = small(32, **options), small((16, 64), **options)
    state = square.state_dict() if form is dict else dino(square)

    for target in (small(32, **options), small(64, **options), wide):
        target.load_state_dict(dict(state))

    (warned,) = [text for level, text in run_log if level == 'WARNING']
    assert 'pos_embed is taken for positions of the grid 2x8' in warned
    assert 'a grid of 4x4 has as many' in warned
    assert torch.equal(wide.pos_embed[:, 5:], square.pos_embed[:, 5:])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match='nothing.pth does not exist'):
        load_pretrained(small(), str(tmp_path / 'nothing.pth'))


@pytest.mark.parametrize('content', [b'', b'junk', b'PK\x03\x04 truncated'])
def test_a_damaged_file_is_named(tmp_path, content):
    file = tmp_path / 'damaged.pth'
    file.write_bytes(content)

    with pytest.raises(UserError, match='damaged.pth cannot be read as weights'):
        load_pretrained(small(), str(file))


class Touch:
    """Pickles as a call that creates a file: code in a checkpoint."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, 'w')


def test_code_in_a_checkpoint_is_not_executed(tmp_path):
    file = tmp_path / 'malicious.pth'
    torch.save({'state_dict': small().state_dict(), 'meta': Touch(tmp_path / 'executed')}, file)

    with pytest.raises(UserError, match='hold code, which is never executed'):
        load_pretrained(small(), str(file))

    assert not (tmp_path / 'executed').exists()


def test_an_unknown_option_is_named(tmp_path):
    with pytest.raises(UserError, match="'strict'"):
        load_pretrained(small(), save(tmp_path / 'a.pth', small()), 'backbone.', strict=False)
