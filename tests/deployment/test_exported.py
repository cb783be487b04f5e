"""What is made ready for export computes what it did, and a graph that does not is not kept."""

import pytest
import torch
from mmpretrain.registry import MODELS
from torch import nn

from mmtoken.deployment.exported import Exported, fold_position, image_size
from mmtoken.deployment.onnx_file import onnx_bytes, write_onnx
from mmtoken.errors import UserError

ARCH = dict(embed_dims=12, num_layers=2, num_heads=2, feedforward_channels=12)
STAGES = dict(embed_dims=12, depths=(1, 1), num_heads=(2, 2))
BACKBONES = {
    'class token': dict(type='TokenViT'),
    'class token and registers': dict(type='TokenViT', num_aux_tokens=3, num_registers=2),
    'tiled': dict(type='TokenViT', interpolate_mode='tile'),
    'pooled, no class token': dict(
        type='TokenViT', num_aux_tokens=0, out_type='avg_featmap', pool_before=(1,)
    ),
    'rotary': dict(
        type='TokenViT', arch=dict(ARCH, num_heads=3), position=dict(type='RotaryPosition')
    ),
    'pyramid': dict(type='Swin', arch=STAGES, window_size=2, use_abs_pos_embed=True),
}


def build(name: str, **options) -> nn.Module:
    torch.manual_seed(0)
    defaults = dict(arch=ARCH, img_size=32, patch_size=8)
    backbone = MODELS.build({**defaults, **BACKBONES[name], **options}).eval()
    for parameter in backbone.parameters():
        nn.init.normal_(parameter, std=0.3)
    return backbone


@torch.no_grad()
@pytest.mark.parametrize('size', [(32, 32), (48, 80)])
@pytest.mark.parametrize('name', BACKBONES)
def test_a_folded_position_changes_nothing_but_needs_no_resizing(name, size, monkeypatch):
    backbone, images = build(name), torch.randn(2, 3, *size)
    expected = backbone(images)

    fold_position(backbone, size)

    monkeypatch.delattr(nn.functional, 'interpolate')
    for found, out in zip(backbone(images), expected, strict=True):
        torch.testing.assert_close(found, out, rtol=0, atol=0)


def test_the_size_is_that_of_the_backbone_unless_another_is_asked_for():
    backbone = build('class token')

    assert image_size(backbone, None) == (32, 32)
    assert image_size(backbone, [8, 64]) == (8, 64)
    with pytest.raises(UserError, match='--size 40 33 is not a multiple .* use 40 40'):
        image_size(backbone, (40, 33))
    with pytest.raises(UserError, match='--size 0 32 .* use 8 32'):
        image_size(backbone, (0, 32))


def test_pairs_of_tokens_are_laid_flat():
    backbone = build('class token', num_aux_tokens=2, out_indices=(0, 1))
    model = nn.Module()
    model.backbone = backbone

    found = Exported(model, 'backbone')(torch.zeros(1, 3, 32, 32))

    assert [tuple(out.shape) for out in found] == [(1, 12)] * 4


class Exporting(nn.Module):
    """Computes something else where a graph is made of it.

    Args:
        error: By how much.
    """

    def __init__(self, error: float) -> None:
        super().__init__()
        self.error = error

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        scores = images.mean(dim=(2, 3))
        return (scores + self.error if torch.compiler.is_exporting() else scores,)


def test_a_graph_that_computes_something_else_is_not_kept(tmp_path):
    path = tmp_path / 'model.onnx'

    with pytest.raises(UserError, match=r'differs from the model by 3\.0e-04 .* nothing was'):
        write_onnx(Exporting(3e-4), path, (8, 8))

    assert not path.exists()
    difference, _ = write_onnx(Exporting(3e-5), path, (8, 8))
    assert difference == pytest.approx(3e-5, rel=0.1) and path.exists()


@pytest.mark.parametrize('opset', [17, 24])
def test_an_opset_that_is_not_written_is_refused(opset):
    with pytest.raises(UserError, match=rf'opset {opset} is not in 18\.\.23'):
        onnx_bytes(Exporting(0.0), (8, 8), opset=opset)
