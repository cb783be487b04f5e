"""Every leaf config builds and computes: model, loss, optimizer, schedule, pipelines, hooks."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from label_stores import write_stores_of
from leaf_paths import LEAVES
from long_leaves import marks_of
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.hooks import CheckpointHook
from mmengine.optim import build_optim_wrapper
from mmengine.registry import HOOKS
from started_models import start
from torch import nn

from mmtoken.config_check.check import find_problems
from mmtoken.dense import PyramidCheckHook
from mmtoken.runtime.cli import load_config
from mmtoken.runtime.strict_load import StrictLoadHook


def classification_batch(config: Config) -> dict:
    from mmpretrain.structures import DataSample

    # Larger ones take seconds.
    side = min(config.model.backbone.get('img_size', 224), 256)
    samples = [DataSample().set_gt_label(label) for label in (0, 1)]
    supplied = config.model.get('foreground', {}).get('type') == 'SuppliedForeground'
    if supplied or config.model.type == 'TokenLabelClassifier':
        classes = config.model.head.get('num_token_classes', config.model.head.num_classes)
        for sample in samples:
            sample.set_field(torch.randn(2, 4, 4), 'token_label')
            sample.set_field(torch.randint(0, classes, (2, 4, 4)), 'token_label_ids')
            sample.set_field(torch.eye(2, 3), 'token_label_source')
            kind = 'share' if supplied else 'logit'
            sample.set_field(kind, 'token_label_kind', field_type='metainfo')
    return dict(
        inputs=torch.randint(0, 256, (2, 3, side, side), dtype=torch.uint8), data_samples=samples
    )


def detection_batch(config: Config) -> dict:
    from mmdet.testing import demo_mm_inputs

    head = config.model.roi_head.bbox_head
    # A cascade has several.
    classes = (head[0] if isinstance(head, list) else head).num_classes
    count = images_of(config)
    shapes, items = [(3, 64, 96)] * count, [2] * count
    return demo_mm_inputs(count, shapes, num_items=items, num_classes=classes, with_mask=True)


def segmentation_batch(config: Config) -> dict:
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    classes = config.model.decode_head.num_classes
    sample = SegDataSample(metainfo=dict(img_shape=(64, 64), ori_shape=(64, 64)))
    sample.gt_sem_seg = PixelData(data=torch.randint(0, classes, (1, 64, 64)))
    image, count = torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8), images_of(config)
    return dict(inputs=[image] * count, data_samples=[sample] * count)


def images_of(config: Config) -> int:
    """Two where a batch norm sees one value of each image, else one."""
    return 2 if config.model.backbone.get('kernel') == 'homogeneous' else 1


@pytest.fixture(
    scope='module',
    params=[pytest.param(path, marks=marks_of(path)) for path in LEAVES],
    ids=lambda path: path.stem,
)
def leaf(request: pytest.FixtureRequest) -> Path:
    """One leaf config after the other."""
    return request.param


BATCHES = dict(mmpretrain=classification_batch, mmdet=detection_batch, mmseg=segmentation_batch)


def total(losses: dict) -> torch.Tensor:
    """The sum of all losses, the lists of the RPN included."""
    terms = [losses[name] for name in losses if 'loss' in name]
    return sum(sum(term) if isinstance(term, list) else term for term in terms)


def test_model_computes_a_finite_loss(config: Config, model: nn.Module) -> None:
    batch = BATCHES[config.default_scope](config)
    if config.default_scope == 'mmseg':
        # At its real size of 512 px the head takes seconds.
        model.data_preprocessor.size = (64, 64)
    if config.default_scope == 'mmdet':
        # As do the heads of 512 proposals, and images padded to 1,024 px.
        model.data_preprocessor.pad_size_divisor = 32
        samplers = model.roi_head.bbox_sampler
        for sampler in samplers if isinstance(samplers, list) else [samplers]:
            sampler.num = 32

    data = model.data_preprocessor(batch, training=True)
    loss = total(start(model)(**data, mode='loss'))

    assert torch.isfinite(loss)
    assert loss.requires_grad


def test_the_check_finds_nothing_to_say(leaf: Path) -> None:
    assert [problem.text for problem in find_problems(load_config(str(leaf)))] == []


def test_model_index_beside_the_config_counts_its_parameters(leaf: Path, model: nn.Module) -> None:
    index = leaf.with_name('metafile.yml')
    entries = yaml.safe_load(index.read_text(encoding='utf-8'))['Models'] if index.is_file() else []
    stated = {entry['Metadata']['Parameters'] for entry in entries if entry['Name'] == leaf.stem}

    assert stated <= {sum(parameter.numel() for parameter in model.parameters())}


def test_optimizer_decays_weights_only(config: Config, model: nn.Module) -> None:
    optimizer = build_optim_wrapper(model, config.optim_wrapper).optimizer
    names = {parameter: name for name, parameter in model.named_parameters()}
    decayed = {
        names[parameter]: parameter
        for group in optimizer.param_groups
        if group['weight_decay'] > 0
        for parameter in group['params']
    }

    auxiliary = ('backbone.pos_embed', 'backbone.cls_token')
    wrong = [
        name
        for name, p in decayed.items()
        if p.ndim == 1 or name in auxiliary or 'relative_position' in name
    ]
    assert decayed
    assert wrong == []


def test_optimizer_holds_every_trainable_parameter_once(config: Config, model: nn.Module) -> None:
    optimizer = build_optim_wrapper(model, config.optim_wrapper).optimizer

    held = [id(p) for group in optimizer.param_groups for p in group['params']]

    assert len(held) == len(set(held))
    assert set(held) >= {id(p) for p in model.parameters() if p.requires_grad}


def test_learning_rates_follow_the_layers(config: Config, model: nn.Module) -> None:
    """The rate is the base rate times the decay, once per layer up to the head, and the backbone's
    times its own multiplier.
    """
    optim_wrapper = config.optim_wrapper
    options = optim_wrapper.get('paramwise_cfg', {})
    decay, multiplier = (options.get(k, 1.0) for k in ('layer_decay_rate', 'backbone_lr_mult'))
    optimizer = build_optim_wrapper(model, optim_wrapper).optimizer
    rates = {id(p): group['lr'] for group in optimizer.param_groups for p in group['params']}

    expected = {}
    for name, _ in model.named_parameters():
        depth, depths = model.backbone.get_layer_depth(name, prefix='backbone.')
        scale = decay ** (depths - 1 - depth) * (multiplier if name.startswith('backbone.') else 1)
        expected[name] = optim_wrapper.optimizer.lr * scale

    actual = {name: rates.get(id(p), expected[name]) for name, p in model.named_parameters()}
    assert actual == pytest.approx(expected)


def test_schedule_ends_with_the_training(config: Config) -> None:
    schedulers, train = config.param_scheduler, config.train_cfg

    length = train.get('max_epochs') or train.max_iters

    assert schedulers[-1].end == length
    assert schedulers[-1].by_epoch == ('max_epochs' in train)


def test_smallest_rate_is_relative(config: Config) -> None:
    """An absolute minimum would raise the rates of early layers under layer-wise decay."""
    assert [s.type for s in config.param_scheduler if s.get('eta_min')] == []


def test_pipelines_build(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_stores_of(config, tmp_path)
    loaders = (config.train_dataloader, config.val_dataloader, config.test_dataloader)
    pipelines = [loader.dataset.pipeline for loader in loaders] + [config.get('tta_pipeline', [])]

    built = [Compose(pipeline).transforms for pipeline in pipelines]

    assert [len(b) for b in built] == [len(p) for p in pipelines]


def test_loaders_collate_as_their_library_does(config: Config) -> None:
    """Neither mmengine's runner nor its inferencers have mmpretrain's function as their default."""
    own = {'mmpretrain': dict(type='default_collate')}.get(config.default_scope)

    for loader in (config.train_dataloader, config.val_dataloader, config.test_dataloader):
        assert loader.get('collate_fn') == own


def test_hooks_hold_checkpoints_to_full_coverage_and_keep_two(config: Config) -> None:
    """With one file only, a run that is killed while it saves would have none."""
    built = [*config.default_hooks.values(), *config.get('custom_hooks', [])]

    hooks = [HOOKS.build(dict(hook)) for hook in built]

    assert [hook.allow_partial for hook in hooks if isinstance(hook, StrictLoadHook)] == [False]
    assert [hook.max_keep_ckpts for hook in hooks if isinstance(hook, CheckpointHook)] == [2]


def test_a_pyramid_is_held_against_its_backbone(config: Config, model: nn.Module) -> None:
    hooks = [HOOKS.build(dict(hook)) for hook in config.default_hooks.values()]
    (check,) = [hook for hook in hooks if isinstance(hook, PyramidCheckHook)]

    check.before_run(SimpleNamespace(model=model))
