"""Swin computes what the released code computed: features, logits, attention, and labels that
follow it.
"""

import pytest
import torch
from mmpretrain.registry import MODELS
from references import check_stages, close, read_reference

from mmtoken.convert import convert_state_dict
from mmtoken.errors import UserError
from mmtoken.tokens import Tokens

# Rows and columns of replaced pixels, and what is left of each image's own label: from the
# formulas of labels through windows on the released code's attention.
BOXES = {'swin_1': ((8, 20, 4, 24), (0.761452, 0.775327)),
         'swin_2': ((3, 15, 10, 31), (0.784764, 0.786983))}  # fmt: skip


@pytest.fixture(params=['swin_1', 'swin_2'])
def name(request):
    return request.param


@pytest.fixture
def reference(name):
    return read_reference(name)


def build(reference, **options):
    meta = {name: value.tolist() for name, value in reference['meta'].items()}
    stages = len(meta['depths'])
    backbone = dict(
        type='Swin',
        arch=dict(embed_dims=meta['embed_dim'], depths=meta['depths'], num_heads=meta['num_heads']),
        img_size=meta['img_size'],
        patch_size=meta['patch_size'],
        window_size=meta['window_size'],
        mlp_ratio=meta['mlp_ratio'],
        qkv_bias=meta['qkv_bias'],
        qk_scale=meta['qk_scale'] or None,
        use_abs_pos_embed=meta['ape'],
        **options,
    )
    width = meta['embed_dim'] * 2 ** (stages - 1)
    head = dict(type='LinearClsHead', num_classes=meta['num_classes'], in_channels=width)
    neck = dict(type='GlobalAveragePooling')
    model = dict(type='ImageClassifier', backbone=backbone, neck=neck, head=head)
    return MODELS.build(model).eval()


@pytest.fixture
def model(reference):
    built = build(reference)
    built.load_state_dict(convert_state_dict(reference['state'], 'swin'), strict=True)
    return built


@torch.no_grad()
def test_logits(model, reference):
    close(model(reference['input']['image'], mode='tensor'), reference['output']['logits'])


@torch.no_grad()
def test_tokens_after_each_stage_and_the_last_norm(model, reference):
    backbone, output = model.backbone, reference['output']
    last = check_stages(backbone, reference['input']['image'], output)
    close(backbone.output(last, backbone.num_layers - 1).flatten(2).mT, output['tokens'])


@torch.no_grad()
def test_the_trace_is_mixed_by_the_mean_of_the_attention(model, reference):
    """Unit vectors within every window come out as ½(Ā + I)."""
    backbone = model.backbone
    tokens = backbone.embed(reference['input']['image'])
    for stage, part in enumerate(backbone.stages):
        for index, block in enumerate(part.blocks):
            mixer, size = block.attn, block.attn.window_size
            expected = reference['output'][f'attn_mean_{stage}_{index}']
            shift = mixer.shifts_of(tokens.grid)[0]
            # Each place of a window has a channel of its own, the same in all windows.
            rows, columns = (torch.arange(side) for side in tokens.grid)
            place = ((rows + shift * (size - 1)) % size)[:, None] * size
            place = place + (columns + shift * (size - 1)) % size
            units = torch.eye(size * size)[place.flatten()].expand(len(tokens.x), -1, -1)
            mixed = block(tokens.with_(trace=units)).trace
            windows = mixer._split(mixed, tokens.grid, tokens.grid, (shift, shift))
            close(windows, 0.5 * (expected + torch.eye(size * size)))
            tokens = block(tokens)
        if part.downsample is not None:
            tokens = part.downsample(tokens)


def shares_of(box, reference):
    """How much of each token is its image's own, (B, H·W, 1): box pixels are the partner's."""
    own = torch.ones(1, 1, *reference['input']['image'].shape[-2:])
    own[..., box[0] : box[1], box[2] : box[3]] = 0
    size = int(reference['meta']['patch_size'])
    shares = torch.nn.functional.avg_pool2d(own, size).flatten(2).transpose(1, 2)
    return shares.expand(2, -1, -1)


@torch.no_grad()
def test_labels_follow_the_attention_through_windows_and_mergings(model, reference, name):
    box, expected = BOXES[name]

    _, trace = model.backbone(reference['input']['image'], shares_of(box, reference))

    assert trace.mean(dim=(1, 2)).tolist() == pytest.approx(expected, abs=2e-6)


def through_the_released_attention(labels, reference):
    """What labels, (B, H·W, K), become as a product with every matrix that the released code had,
    ½(A + I) in its windows, and the mean of four where tokens merge.
    """
    meta = {key: reference['meta'][key].tolist() for key in ('grid', 'window_sizes', 'shift_sizes')}
    blocks = zip(meta['window_sizes'], meta['shift_sizes'], strict=True)
    depths = reference['meta']['depths'].tolist()
    # (B, H·W, K) → (B, H, W, K)
    labels = labels.unflatten(1, meta['grid'])
    for stage, depth in enumerate(depths):
        for index in range(depth):
            size, shift = next(blocks)
            moved = labels.roll((-shift, -shift), dims=(1, 2))
            # (B, H, W, K) → (B, R, s, Q, s, K) → (B, R, Q, s, s, K)
            cut = moved.unflatten(2, (-1, size)).unflatten(1, (-1, size)).transpose(2, 3)
            # (B, R, Q, s, s, K) → (B·R·Q, s², K)
            windows = cut.flatten(3, 4).flatten(0, 2)
            attention = reference['output'][f'attn_mean_{stage}_{index}']
            mixed = (0.5 * (attention @ windows + windows)).view(cut.shape).transpose(2, 3)
            labels = mixed.reshape(moved.shape).roll((shift, shift), dims=(1, 2))
        if stage + 1 < len(depths):
            labels = sum(labels[:, row::2, column::2] for row in (0, 1) for column in (0, 1)) / 4
    return labels.flatten(1, 2)


@torch.no_grad()
def test_k_channels_follow_the_released_attention(model, reference, name):
    own = shares_of(BOXES[name][0], reference)
    # Image 0 is of class 1, image 1 of class 3, and each other's partner.
    classes = torch.eye(5)[[1, 3]]
    labels = own * classes[:, None] + (1 - own) * classes.flip(0)[:, None]

    _, trace = model.backbone(reference['input']['image'], labels)

    expected = through_the_released_attention(labels, reference)
    torch.testing.assert_close(trace, expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(trace.sum(dim=-1), torch.ones(trace.shape[:2]))


@torch.no_grad()
def test_the_trace_of_k_channels_is_that_of_one(model, reference, name):
    """Carrying labels themselves gives what one number for each token gives."""
    own = shares_of(BOXES[name][0], reference)
    labels = torch.eye(5)[[1, 3]]
    every = own * labels[:, None] + (1 - own) * labels.flip(0)[:, None]

    _, weights = model.backbone(reference['input']['image'], own)
    _, carried = model.backbone(reference['input']['image'], every)

    expected = weights * labels[:, None] + (1 - weights) * labels.flip(0)[:, None]
    torch.testing.assert_close(carried, expected, atol=1e-6, rtol=0)


@torch.no_grad()
def test_features_are_not_touched_by_a_trace(model, reference, name):
    image = reference['input']['image']
    (plain,) = model.backbone(image)
    (traced,), _ = model.backbone(image, shares_of(BOXES[name][0], reference))

    close(traced, plain)


def test_masks_of_windows_are_dropped(reference):
    state = dict(reference['state'])
    assert any(name.endswith('attn_mask') for name in state)
    assert not any(name.endswith('attn_mask') for name in convert_state_dict(state, 'swin'))


@pytest.mark.parametrize(
    'unknown',
    [
        'layers.0.extra',
        'layers.0.blocks.0.attn.extra',
        'layers.0.blocks.0.attn.qkv.scale',
        'layers.0.blocks.0.mlp.fc1.extra',
        'layers.0.blocks.0.norm1.running_mean',
        'layers.0.downsample.reduction.bias',
        'patch_embed.proj.extra',
    ],
)
def test_unknown_names_are_refused(unknown):
    state = {**read_reference('swin_1')['state'], unknown: torch.zeros(1)}

    with pytest.raises(UserError, match=f"'{unknown}' is not a weight of a 'swin' model; check"):
        convert_state_dict(state, 'swin')


@torch.no_grad()
def test_a_padded_tokens_label_is_nobodys(reference):
    """Attention to padding is taken off, so that labels keep summing to 1."""
    backbone = build(reference, pad_small_map=True, drop_path_rate=0.0).backbone
    image = torch.randn(2, 3, 26, 22, generator=torch.Generator().manual_seed(0))
    tokens = backbone.embed(image)
    ones = torch.ones(2, tokens.x.shape[1], 1)

    _, trace = backbone(image, torch.cat([ones, 0.3 * ones], dim=-1))

    torch.testing.assert_close(trace[..., 0], torch.ones_like(trace[..., 0]))
    torch.testing.assert_close(trace[..., 1], torch.full_like(trace[..., 1], 0.3))


def test_a_window_larger_than_the_grid_is_refused(reference):
    backbone = build(reference).backbone
    with pytest.raises(UserError, match='is larger than the grid .* set a smaller window_size'):
        backbone.stages[0].blocks[0].attn(Tokens(torch.zeros(1, 4, 12), (2, 2), 0))
