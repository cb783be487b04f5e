"""Frozen backbones train on several devices without a search for unused parameters."""

from __future__ import annotations

from pathlib import Path

# What the registry would import in each process takes it seconds.
import mmdet.engine  # noqa: F401
import mmdet.models  # noqa: F401
import pytest
import torch
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope
from small_models import TINY, shrink_model
from started_ranks import run_two_ranks

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'foundation'
LAYERS = TINY['num_layers']


def tiny_detector(leaf: str, frozen_stages: int | None) -> Config:
    """A leaf config's detector, small, frozen up to a layer."""
    config = Config.fromfile(CONFIGS / f'{leaf}.py')
    shrink_model(config)
    if frozen_stages is not None:
        config.model.backbone.frozen_stages = frozen_stages
    return config


def place_of(name: str) -> str:
    """The layer of the backbone that a parameter is of, or what else it has."""
    places = name.replace('.module.', '.').split('.')[1:]
    return '.'.join(places[: 2 if places[0] == 'layers' else 1])


def train_rank(rank: int, folder: Path, leaf: str, frozen_stages: int | None) -> None:
    """One of two processes, each with images of its own, for two steps; saves its weights."""
    store = torch.distributed.FileStore(str(folder / 'store'), 2)
    torch.distributed.init_process_group('gloo', store=store, rank=rank, world_size=2)
    config = tiny_detector(leaf, frozen_stages)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(config.model)
        # The default of mmengine's runner, as of torch: unused parameters are an error.
        wrapped = MMDistributedDataParallel(model, find_unused_parameters=False)
        config.optim_wrapper.optimizer.lr = 1e-3
        optimizer = build_optim_wrapper(wrapped, config.optim_wrapper)
        before = {name: value.clone() for name, value in model.named_parameters()}
        for _ in range(2):
            shape = (3, 64, 96)
            data = demo_mm_inputs(1, [shape], num_items=[2], num_classes=80, with_mask=True)
            data['inputs'] = [torch.randint(0, 256, shape, dtype=torch.uint8)]
            # torch notices a parameter that got no gradient when the next step begins.
            wrapped.train_step(data, optimizer)
    names = {name for name, p in model.named_parameters() if p.requires_grad}
    changed = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    torch.save(dict(state=model.state_dict(), names=names, changed=changed), folder / f'{rank}.pth')


@pytest.mark.parametrize(
    ('leaf', 'frozen_stages', 'learning'),
    [
        ('mask-rcnn_frozen-dinov2-small_sfp_lsj-100e_coco', LAYERS, set()),
        ('mask-rcnn_dinov2-small_sfp_lsj-100e_coco', LAYERS - 1, {f'layers.{LAYERS - 1}', 'ln1'}),
        ('mask-rcnn_lora-dinov2-base_sfp_lsj-100e_coco', None, {'layers.0', 'layers.1'}),
    ],
)
def test_two_processes_train_what_is_not_frozen(leaf, frozen_stages, learning, tmp_path):
    run_two_ranks(train_rank, tmp_path, leaf, frozen_stages)

    first, second = (torch.load(tmp_path / f'{rank}.pth') for rank in (0, 1))
    own = {place_of(name) for name in first['names'] if name.startswith('backbone.')}
    assert own == learning
    assert first['changed'] == second['changed'] <= first['names']
    assert {'rpn_head.rpn_cls.weight', 'roi_head.bbox_head.fc_cls.weight'} <= first['changed']
    for name, value in first['state'].items():
        assert torch.equal(value, second['state'][name]), name
