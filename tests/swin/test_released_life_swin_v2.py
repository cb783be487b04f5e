"""LIFE on Swin V2 computes what the released code computed: windows, blocks, whole classifiers."""

import pytest
import torch
from mmpretrain.registry import MODELS
from references import check_stages, close, read_reference

from mmtoken.convert import convert_state_dict
from mmtoken.pyramid import PostNormBlock, ShiftedWindows
from mmtoken.pyramid.window_bias import shift_mask
from mmtoken.swin import WindowAttentionV2
from mmtoken.tokens import Tokens

LIFE = dict(type='LIFEProjection')


def build_block(name):
    """The block of a file, with its weights, and the file."""
    reference = read_reference(name)
    meta = {key: value.tolist() for key, value in reference['meta'].items()}
    size = meta['target_window_size']
    attention = WindowAttentionV2(
        meta['dim'],
        meta['num_heads'],
        size,
        LIFE,
        pretrained_window_size=meta['pretrained_window_size'],
    )
    windows = ShiftedWindows(attention, size, meta['target_shift_size'], per_axis=True)
    hidden = int(meta['mlp_ratio'] * meta['dim'])
    block = PostNormBlock(windows, meta['dim'], hidden, 0.0, dict(type='LN'))
    state = {f'layers.0.blocks.0.{name}': value for name, value in reference['state'].items()}
    prefix = 'backbone.stages.0.blocks.0.'
    renamed = convert_state_dict(state, 'life-swinv2')
    own = {name.removeprefix(prefix): value for name, value in renamed.items()}
    made_anew = {
        name for name in block.state_dict() if name.endswith(('coords_table', 'position_index'))
    }
    missing = block.load_state_dict(own, strict=False)
    assert set(missing.missing_keys) == made_anew and not missing.unexpected_keys
    return block.eval(), reference, tuple(meta['grid'])


@pytest.fixture(params=['life_swinv2_block_1', 'life_swinv2_block_2'])
def block(request):
    return build_block(request.param)


@torch.no_grad()
def test_a_block(block):
    block, reference, grid = block
    close(block(Tokens(reference['input']['x'], grid, 0)).x, reference['output']['x'])


@torch.no_grad()
def test_the_projection_of_windows(block):
    block, reference, grid = block
    windows, size = reference['input']['windows'], block.attn.window_size
    made = block.attn.w_msa.project(Tokens(windows, (size, size), 0))

    for found, name in zip(made, 'qkv', strict=True):
        close(found, reference['output'][f'windows_{name}'])


@torch.no_grad()
def test_the_attention_of_windows(block):
    block, reference, grid = block
    windows, size = reference['input']['windows'], block.attn.window_size
    shifts = block.attn.shifts_of(grid)
    assert list(shifts) == reference['meta']['shift_size'].tolist()

    made = block.attn.w_msa.project(Tokens(windows, (size, size), 0))
    found, _ = block.attn.w_msa(made, None, shift_mask(grid, size, shifts, windows))

    close(found, reference['output']['windows'])


def build(name, **options):
    reference = read_reference(name)
    meta = {key: value.tolist() for key, value in reference['meta'].items()}
    backbone = dict(
        type='SwinV2',
        arch=dict(embed_dims=meta['embed_dim'], depths=meta['depths'], num_heads=meta['num_heads']),
        img_size=meta['img_size'],
        patch_size=meta['patch_size'],
        window_size=meta['window_size'],
        pretrained_window_sizes=meta['pretrained_window_sizes'],
        mlp_ratio=meta['mlp_ratio'],
        use_abs_pos_embed=meta['ape'],
        projection=LIFE,
        **options,
    )
    width = meta['embed_dim'] * 2 ** (len(meta['depths']) - 1)
    head = dict(type='LinearClsHead', num_classes=meta['num_classes'], in_channels=width)
    neck = dict(type='GlobalAveragePooling')
    model = MODELS.build(dict(type='ImageClassifier', backbone=backbone, neck=neck, head=head))
    state = convert_state_dict(reference['state'], 'life-swinv2')
    plain = {k.removeprefix('backbone.'): v for k, v in state.items() if k.startswith('backbone.')}
    model.backbone.complete_on_load(plain)
    state.update({f'backbone.{name}': value for name, value in plain.items()})
    model.load_state_dict(state, strict=True)
    return model.eval(), reference


@pytest.mark.parametrize('name', ['life_swinv2_1', 'life_swinv2_2'])
@torch.no_grad()
def test_a_classifier_its_stages_and_tokens(name):
    """In float64: scores here are up to 100 times a cosine, so that what float32 rounds away of
    them, which processors do each in its own way, may be more than the tolerance.
    """
    model, reference = build(name)
    model, image = model.double(), reference['input']['image'].double()
    output = reference['output']

    close(model(image, mode='tensor'), output['logits'])
    backbone = model.backbone
    last = check_stages(backbone, image, output)
    close(backbone.output(last, backbone.num_layers - 1).flatten(2).mT, output['tokens'])


@pytest.mark.parametrize('name', ['life_swinv2_1', 'life_swinv2_2'])
def test_biases_that_nothing_reads_are_dropped(name):
    reference = read_reference(name)
    dropped = [key for key in reference['state'] if key.endswith(('q_bias', 'v_bias', 'attn_mask'))]
    converted = convert_state_dict(reference['state'], 'life-swinv2')

    assert dropped and len(converted) == len(reference['state']) - len(dropped)
