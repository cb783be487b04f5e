"""CAT computes what the released code computed: blocks, classifiers and dense backbones."""

import pytest
import torch
from mmpretrain.registry import MODELS
from references import close, read_reference

from mmtoken.cat import CAT
from mmtoken.convert.cat import convert_cat
from mmtoken.tokens import Tokens

# Channels of the last stage, classes, and parameters with 1000 of them.
SIZES = {'tiny': (512, 16_870_996), 'small': (768, 37_294_258), 'base': (768, 51_531_922)}


def load(name):
    """The arrays of a file by group and name; those of `meta` as Python's values."""
    groups = read_reference(name)
    return {**groups, 'meta': {key: value.tolist() for key, value in groups['meta'].items()}}


def same(found, expected):
    """To 1e-5, whatever the entries are."""
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def config_of(meta, **options):
    arch = dict(embed_dims=meta['embed_dim'], depths=meta['depths'], num_heads=meta['num_heads'])
    return dict(
        type='CAT',
        arch=arch,
        patch_size=meta['patch_emb_size'],
        patch_norm=meta['patch_norm'],
        window_size=meta['patch_size'],
        mlp_ratio=meta['mlp_ratio'],
        qkv_bias=meta['qkv_bias'],
        use_abs_pos_embed=meta['ape'],
        **options,
    )


@pytest.fixture(params=['cat_1', 'cat_2'])
def reference(request):
    return load(request.param)


@pytest.fixture
def model(reference):
    meta = reference['meta']
    width = meta['embed_dim'] * 2 ** (len(meta['depths']) - 1)
    built = MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=config_of(meta, img_size=meta['img_size']),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=meta['num_classes'], in_channels=width),
        )
    )
    built.load_state_dict(convert_cat(reference['state']), strict=True)
    return built.eval()


@torch.no_grad()
def test_logits(model, reference):
    same(model(reference['input']['image'], mode='tensor'), reference['output']['logits'])


@torch.no_grad()
def test_tokens_after_each_stage(model, reference):
    tokens = model.backbone.embed(reference['input']['image'])
    for index, stage in enumerate(model.backbone.stages):
        for block in stage.blocks:
            tokens = block(tokens)
        if stage.downsample is not None:
            tokens = stage.downsample(tokens)
        close(tokens.x, reference['output'][f'stage_{index}'])


def test_windows_are_no_larger_than_grids(model, reference):
    sizes = [stage.blocks[1].attn.window_size for stage in model.backbone.stages]
    assert sizes == reference['meta']['stage_patch_sizes']


@torch.no_grad()
@pytest.mark.parametrize('name', ['cat_dense_1', 'cat_dense_2'])
def test_features_of_the_dense_code(name):
    """Images, grids and windows that do not divide each other; positions of another grid."""
    reference = load(name)
    meta, stages = reference['meta'], len(reference['meta']['depths'])
    options = dict(pad_small_map=True, out_indices=meta['out_indices'])
    backbone = MODELS.build(config_of(meta, img_size=meta['pre_trained_img_size'], **options))
    holder = torch.nn.ModuleDict({'backbone': backbone}).eval()
    holder.load_state_dict(convert_cat(reference['state']), strict=True)

    outs = backbone(reference['input']['image'])

    assert len(outs) == stages
    for index, out in enumerate(outs):
        same(out, reference['output'][f'feature_{index}'])


@torch.no_grad()
@pytest.mark.parametrize('kind', ['ipsa', 'cpsa'])
@pytest.mark.parametrize('name', ['cat_block_1', 'cat_block_2'])
def test_a_block_alone(name, kind):
    reference = load(name)
    meta = reference['meta']
    assert meta['patch_size'] == meta['target_patch_size']
    arch = dict(embed_dims=meta['dim'], depths=(1,), num_heads=(meta['num_heads'],))
    block = CAT(
        arch,
        img_size=[4 * side for side in meta['grid']],
        window_size=meta['patch_size'],
        mlp_ratio=meta['mlp_ratio'],
        qkv_bias=meta['qkv_bias'],
        qk_scale=meta['qk_scale'] or None,
    ).layers[kind == 'cpsa'].eval()  # fmt: skip
    own = {name: value for name, value in reference['state'].items() if name.startswith(kind)}
    prefix = f'layers.0.{"cpsa" if kind == "cpsa" else "pre_ipsa"}_blocks.0.'
    state = convert_cat({prefix + name.partition('.')[2]: value for name, value in own.items()})
    ours = f'backbone.stages.0.blocks.{int(kind == "cpsa")}.'
    block.load_state_dict({name.removeprefix(ours): state[name] for name in state}, strict=True)

    out = block(Tokens(reference['input']['x'], tuple(meta['grid']), 0))

    same(out.x, reference['output'][kind])


@pytest.mark.parametrize('arch', ['tiny', 'small', 'base'])
def test_presets_have_as_many_parameters_as_the_released_ones(arch):
    width, expected = SIZES[arch]
    with torch.device('meta'):
        backbone, head = CAT(arch), torch.nn.Linear(width, 1000)

    assert sum(p.numel() for p in (*backbone.parameters(), *head.parameters())) == expected


def test_the_tiny_is_the_default_and_has_the_released_units():
    with torch.device('meta'):
        backbone = CAT()
    kinds = [type(block.attn).__name__ for block in backbone.layers]

    assert backbone.depths == (3, 3, 9, 3) and backbone.embed_dims == 64
    assert kinds == 6 * ['ShiftedWindows', 'CrossPatchAttention', 'ShiftedWindows']
    assert {block.attn.window_size for block in backbone.layers} == {7}
