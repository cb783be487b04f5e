"""The cards' Python: every backbone and model that stands there is built and computes."""

import ast
import re
from pathlib import Path

import pytest
import torch
from documents import ROOT, Block, find_blocks
from label_stores import write_stores_of
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import DATASETS, HOOKS, MODELS
from mmpretrain.structures import DataSample
from started_models import start

from mmtoken.config_check.check import check_config

OTHERS = [block for block in find_blocks('python') if not block.text.startswith('_base_')]
PROGRAMS = [block for block in OTHERS if 'import' in block.text]
SNIPPETS = [block for block in OTHERS if block not in PROGRAMS]
ASSIGNED = ('backbone', 'model', 'train_pipeline', 'custom_hooks')


def run_lines(text: str) -> list[tuple[str, object]]:
    """Run a snippet and collect what each of its statements assigns, in order."""
    scope, assigned = {}, []
    for statement in ast.parse(text).body:
        exec(compile(ast.Module([statement], []), '<snippet>', 'exec'), scope)
        if isinstance(statement, ast.Assign):
            name = statement.targets[0].id
            assigned.append((name, scope[name]))
    return assigned


def load_images(pipeline: list[dict]) -> tuple[torch.Tensor, list[DataSample]]:
    """Two training images of ImageNet and their samples, as a pipeline makes them."""
    dataset = dict(type='ImageNet', data_root='data/imagenet', split='train', pipeline=pipeline)
    write_stores_of(Config(dict(train_dataloader=dict(dataset=dataset))), Path())
    built = DATASETS.build(dataset)
    packed = [built[0], built[1]]
    images = torch.stack([sample['inputs'] for sample in packed]).float()
    return images, [sample['data_samples'] for sample in packed]


@pytest.mark.parametrize('snippet', SNIPPETS, ids=str)
def test_a_snippet_builds_what_computes(snippet: Block, workplace):
    assigned = run_lines(snippet.text)

    assert {name for name, _ in assigned} <= set(ASSIGNED)
    pipeline = dict(assigned).get('train_pipeline')
    for name, value in assigned:
        if name == 'train_pipeline':
            continue
        if name == 'custom_hooks':
            assert all(HOOKS.build(hook) for hook in value)
            continue
        built = MODELS.build(value)
        built.init_weights()
        images = torch.zeros(2, 3, 224, 224)
        if name == 'backbone':
            assert built(images)[0].isfinite().all()
        else:
            samples = [DataSample().set_gt_label(label) for label in (0, 1)]
            if pipeline:
                images, samples = load_images(pipeline)
            losses = start(built).train().loss(images, samples)
            assert sum(losses.values()).isfinite()


@pytest.mark.parametrize('program', PROGRAMS, ids=str)
def test_a_program_runs(program: Block, workplace, own_model):
    scope = {}
    exec(program.text, scope)
    DefaultScope._instance_dict.clear()

    if 'out_dir' in program.text:
        assert list(workplace.glob('work_dirs/painted/**/image.*'))
    else:
        assert [tuple(out.shape) for out in scope['maps']] == [(2, 192, 14, 14)] * 4
        assert scope['scores'].shape == (2, 1000)


LINES = re.findall(r'^\| [^|]*\| (`[^|]*`) \|', (ROOT / 'README.md').read_text(), re.MULTILINE)
LINES = [line for cell in LINES for line in re.findall(r'`([\w]+=[^`]*)`', cell)]


@pytest.mark.parametrize('line', LINES)
def test_a_line_of_the_methods_works_over_our_own_config(line, tmp_path):
    settings = eval(f'dict({line})')
    own = settings.pop('model', {})
    model = dict(own, **(dict(backbone=settings) if settings else {}))
    child = tmp_path / 'child.py'
    child.write_text(f'_base_ = {str(ROOT / "configs/deit/deit-tiny_8xb64_in1k.py")!r}\n{model=}\n')
    cfg = Config.fromfile(child)
    check_config(cfg)
    built = start(MODELS.build(dict(cfg.model, data_preprocessor=cfg.data_preprocessor))).train()
    images = torch.zeros(2, 3, 224, 224, dtype=torch.uint8)
    samples = [DataSample().set_gt_label(label) for label in (0, 1)]

    data = built.data_preprocessor(dict(inputs=images, data_samples=samples), training=True)

    losses = built(**data, mode='loss')
    assert sum(losses[name] for name in losses if 'loss' in name).isfinite()
