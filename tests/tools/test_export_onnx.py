"""tools/deployment/export_onnx.py: the files that it writes, and what it refuses."""

import json
import re

import onnx
import onnxruntime
import pytest
import torch

from mmtoken import get_model
from mmtoken.deployment import onnx_file

# Of so many channels, positions are too many numbers for the exporter to fold them in by itself.
WIDTH = 512
BACKBONE = """
default_scope = '{scope}'
custom_imports = dict(imports=['mmtoken'], allow_failed_imports=False)
data_preprocessor = dict(mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0], {more})
backbone = dict(
    type='mmpretrain.{kind}', img_size=32, patch_size=8,
    arch=dict(embed_dims={width}, num_layers=1, num_heads=2, feedforward_channels=12), {options})
"""
CLASSIFIER = """
head = dict(type='VisionTransformerClsHead', num_classes=3, in_channels=12)
model = dict(type='ImageClassifier', backbone=backbone, head=head)
"""
SEGMENTOR = """
norm_cfg = dict(type='SyncBN')
neck = dict(
    type='mmpretrain.SimpleFeaturePyramid', in_channels=512, out_channels=4, patch_size=8,
    strides=(4, 8), norm_cfg=norm_cfg)
head = dict(
    type='FCNHead', in_channels={channels}, channels=4, num_classes=2, in_index=0,
    norm_cfg=norm_cfg)
model = dict(
    type='EncoderDecoder', backbone=backbone, {neck} decode_head=head,
    data_preprocessor=dict(type='SegDataPreProcessor', **data_preprocessor),
    train_cfg=dict(), test_cfg=dict(mode='whole'))
"""


@pytest.fixture
def export(load_tool, tmp_path, capsys):
    """A function that runs the tool, and returns the last line that it printed."""

    def run(*words: str, config: str) -> str:
        path = tmp_path / 'config.py'
        path.write_text(config)
        out = ['--out', str(tmp_path / 'model.onnx')] * ('--out' not in words)
        load_tool('deployment/export_onnx.py').main([str(path), *words, *out])
        return capsys.readouterr().out.strip().splitlines()[-1]

    return run


def classifier(kind: str = 'LIFEViT') -> str:
    text = BACKBONE.format(scope='mmpretrain', kind=kind, more='to_rgb=True', options='', width=12)
    return text + CLASSIFIER


def segmentor(neck: str = 'neck=neck,', channels: int = 4) -> str:
    more, options = 'bgr_to_rgb=False', "out_type='featmap'"
    text = BACKBONE.format(scope='mmseg', kind='TokenViT', more=more, options=options, width=WIDTH)
    return text + SEGMENTOR.replace('{neck}', neck).replace('{channels}', str(channels))


def run_file(path, images: torch.Tensor) -> list[torch.Tensor]:
    session = onnxruntime.InferenceSession(str(path))
    return [torch.from_numpy(out) for out in session.run(None, {'images': images.numpy()})]


def test_a_classifier_of_any_batch_computes_the_scores_of_its_checkpoint(export, tmp_path):
    (tmp_path / 'config.py').write_text(classifier())
    model = get_model(tmp_path / 'config.py')
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'model.pth')

    said = export(str(tmp_path / 'model.pth'), '--dynamic-batch', config=classifier())

    assert 'classifier, images (B, 3, 32, 32); ONNX Runtime differs by ' in said
    for batch in (1, 5):
        images = torch.randn(batch, 3, 32, 32)
        (found,) = run_file(tmp_path / 'model.onnx', images)
        torch.testing.assert_close(found, model(images), rtol=0, atol=1e-4)
    noted = {p.key: json.loads(p.value) for p in onnx.load(tmp_path / 'model.onnx').metadata_props}
    expected = dict(mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0], channels='RGB', part='classifier')
    assert noted.items() >= expected.items()


def test_features_of_another_size_have_their_positions_folded_in(export, tmp_path):
    torch.manual_seed(0)
    said = export('--size', '192', '200', '--opset', '20', config=segmentor())

    assert 'features, images (1, 3, 192, 200)' in said
    graph = onnx.load(tmp_path / 'model.onnx')
    assert 'Resize' not in {node.op_type for node in graph.graph.node}
    shapes = {tuple(weight.dims) for weight in graph.graph.initializer}
    # A class token and 24×25 patches; 4×4 it was before.
    assert (1, 1 + 24 * 25, WIDTH) in shapes and (1, 1 + 16, WIDTH) not in shapes
    assert [opset.version for opset in graph.opset_import if not opset.domain] == [20]
    outs = run_file(tmp_path / 'model.onnx', torch.zeros(1, 3, 192, 200))
    assert [tuple(out.shape) for out in outs] == [(1, 4, 48, 50), (1, 4, 24, 25)]


def test_a_backbone_with_lora_is_exported_with_its_additions(export, tmp_path):
    text = BACKBONE.format(
        scope='mmpretrain', kind='TokenViT', more='to_rgb=True', options='', width=12
    )
    held = "backbone = dict(type='LoRABackbone', module=backbone, rank=2)\n"
    path = tmp_path / 'lora.py'
    path.write_text(text + held + CLASSIFIER)
    model = get_model(path)
    for name, parameter in model.named_parameters():
        if 'lora_up' in name:  # Which begin at zero.
            torch.nn.init.ones_(parameter)
    torch.save(model.state_dict(), tmp_path / 'weights.pth')

    export(str(tmp_path / 'weights.pth'), config=path.read_text())

    images = torch.randn(1, 3, 32, 32)
    session = onnxruntime.InferenceSession(tmp_path / 'model.onnx')
    (found,) = session.run(None, {'images': images.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(found), model(images), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ('words', 'config', 'said'),
    [
        (['--what', 'classifier'], segmentor(), 'a segmentor, whose heads .* --what features'),
        (['--what', 'classifier'], segmentor('', WIDTH), 'whose heads .* use --what backbone'),
        (['--what', 'features'], classifier(), 'the model has no neck; use --what backbone'),
        (['--size', '30', '32'], classifier(), '--size 30 32 is not a multiple .* use 32 32'),
        (['--out', 'none/model.onnx'], classifier(), "--out 'none/model.onnx' is no file in a"),
        (['no.pth'], classifier(), 'checkpoint no.pth does not exist'),
        (['--opset', '9'], classifier(), r'opset 9 is not in 18\.\.23'),
        ([], classifier('VisionTransformer'), 'backbone is VisionTransformer; only those of'),
        ([], "default_scope = 'mmpretrain'", 'model is missing, and this tool needs it'),
    ],
)
def test_what_cannot_be_exported_is_answered_by_a_sentence(
    export, words, config, said, capsys, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit_:
        export(*words, config=config)

    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert exit_.value.code == 2
    assert error.startswith('error: ')
    assert re.search(said, error), error
    assert not (tmp_path / 'model.onnx').exists()


def test_what_is_not_installed_is_named(export, capsys, monkeypatch):
    here = onnx_file.find_spec
    monkeypatch.setattr(
        onnx_file, 'find_spec', lambda name: None if name == 'onnxscript' else here(name)
    )
    with pytest.raises(SystemExit):
        export(config=classifier())

    assert 'onnxscript is not installed' in capsys.readouterr().err
