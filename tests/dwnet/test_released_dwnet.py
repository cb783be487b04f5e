"""DWNet computes what the released code computed: mixers, classifiers, and dense features."""

import pytest
import torch
from released_dwnet import CLASSIFIERS, DENSE, MIXERS, classifier, dense_backbone, read

from mmtoken.dwnet import DepthwiseMixer
from mmtoken.tokens import Tokens


def close(found, expected, scale=1.0):
    torch.testing.assert_close(found, expected, atol=1e-5 * scale, rtol=0)


def mixer_of(reference, kernel):
    meta, prefix = reference['meta'], f'{kernel}.'
    mixer = DepthwiseMixer(meta['dim'], kernel, meta['window_size'], meta['group_channels'])
    state = {
        name.removeprefix(prefix): value
        for name, value in reference['state'].items()
        if name.startswith(prefix)
    }
    mixer.load_state_dict(state, strict=True)
    return mixer.eval()


@torch.no_grad()
@pytest.mark.parametrize('name', MIXERS)
@pytest.mark.parametrize('kernel', ['static', 'homogeneous', 'inhomogeneous'])
def test_a_mixer_has_the_names_and_the_function_of_the_released_one(name, kernel):
    reference = read(name)
    grid = tuple(reference['meta']['grid'])
    tokens = Tokens(reference['input']['x'].flatten(1, 2), grid, 0)

    found = mixer_of(reference, kernel)(tokens)

    assert found.grid == grid
    close(found.x.unflatten(1, grid), reference['output'][kernel])


@torch.no_grad()
@pytest.mark.parametrize('name', MIXERS)
@pytest.mark.parametrize('kernel', ['homogeneous', 'inhomogeneous'])
def test_predicted_kernels(name, kernel):
    reference = read(name)
    mixer = mixer_of(reference, kernel)
    # (B, H, W, C) → (B, C, H, W)
    x = torch.relu(mixer.bn0(mixer.conv0(reference['input']['x'].permute(0, 3, 1, 2))))

    found = mixer.conv.predict(x)

    expected = reference['output'][f'{kernel}_kernel']
    # One axis for the window; the same at all positions, or of each.
    close(found, expected.flatten(2, 3).reshape(found.shape))


@torch.no_grad()
@pytest.mark.parametrize('name', CLASSIFIERS)
def test_a_classifier_stage_after_stage(name):
    reference = read(name)
    model, image = classifier(reference), reference['input']['image']
    tokens = model.backbone.embed(image)
    for index, stage in enumerate(model.backbone.stages):
        for block in stage.blocks:
            tokens = block(tokens)
        if stage.downsample is not None:
            tokens = stage.downsample(tokens)
        expected = reference['output'][f'stage_{index}']
        close(tokens.x, expected, max(1.0, expected.abs().max().item()))

    close(model(image, mode='tensor'), reference['output']['logits'])


@torch.no_grad()
@pytest.mark.parametrize('norm', ['BN', 'SyncBN'])
@pytest.mark.parametrize('name', DENSE)
def test_dense_features_with_the_padding_of_the_released_backbone(name, norm):
    reference = read(name)
    backbone = dense_backbone(reference, norm)

    found = backbone(reference['input']['image'])

    for index, features in zip(reference['meta']['out_indices'], found, strict=True):
        expected = reference['output'][f'feature_{index}']
        close(features, expected, max(1.0, expected.abs().max().item()))


@torch.no_grad()
@pytest.mark.parametrize(('name', 'size'), [('dwnet_dense_1', (56, 112)), ('dwnet_dense_2', 80)])
def test_padding_changes_nothing_where_windows_divide_every_grid(name, size):
    reference = read(name)
    height, width = size if isinstance(size, tuple) else (size, size)
    image = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(0))

    padded, plain = (
        dense_backbone(reference, pad_to_window=pad, out_indices=(0, 1))(image)
        if name == 'dwnet_dense_1'
        else dense_backbone(reference, pad_to_window=pad)(image)
        for pad in (True, False)
    )

    for found, expected in zip(padded, plain, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize('name', DENSE)
def test_padding_is_not_neutral_elsewhere(name):
    reference = read(name)
    image = reference['input']['image']

    padded, plain = (dense_backbone(reference, pad_to_window=pad)(image) for pad in (True, False))

    assert max((a - b).abs().max() for a, b in zip(padded, plain, strict=True)) > 0.1


@torch.no_grad()
def test_padding_reaches_no_further_than_half_a_window_where_kernels_are_learned():
    reference = read('dwnet_dense_1')
    image = reference['input']['image']

    (padded, *_), (plain, *_) = (
        dense_backbone(reference, pad_to_window=pad)(image) for pad in (True, False)
    )

    # A grid of 12×16, padded to 14×21: the last 3 rows and columns see the padding.
    torch.testing.assert_close(padded[..., :9, :13], plain[..., :9, :13], atol=1e-5, rtol=0)
    assert (padded - plain)[..., 9:, :].abs().max() > 1e-3
    assert (padded - plain)[..., 13:].abs().max() > 1e-3
