"""LoRA in a detector and a segmentor: what learns, what stays, what is saved, and what a test of it
finds.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import Runner
from public_layouts import write_ade20k, write_coco
from small_models import shrink_run

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'foundation'
LEAVES = {
    'mask-rcnn_lora-dinov2-base_sfp_lsj-100e_coco': write_coco,
    'lora-dinov2-base_upernet_8xb2-160k_ade20k-518x518': write_ade20k,
}


@pytest.fixture(scope='module', params=LEAVES)
def config(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A leaf config, tiny, for two steps, with the pretrained weights that it names."""
    folder = tmp_path_factory.mktemp('lora')
    LEAVES[request.param](folder / 'data')
    config = Config.fromfile(CONFIGS / f'{request.param}.py')
    shrink_run(config, folder)
    key = 'max_epochs' if 'max_epochs' in config.train_cfg else 'max_iters'
    # The second step is the first one in which the lower of the two maps gets a gradient.
    config.train_cfg.update({key: 2, 'val_interval': 2})
    # At the rates of a warm-up most changes are too small for float32.
    config.param_scheduler = [dict(type='ConstantLR', factor=1.0, by_epoch=False)]
    config.optim_wrapper.paramwise_cfg.layer_decay_rate = 0.5
    config.default_hooks.checkpoint.interval = 2
    config.experiment_name = request.param
    module = config.model.backbone.module
    torch.manual_seed(3)
    with DefaultScope.overwrite_default_scope(config.default_scope):
        state = MODELS.build(dict(module)).state_dict()
    file = folder / 'public.pth'
    torch.save({f'backbone.{name}': value for name, value in state.items()}, file)
    module.init_cfg = dict(type='Pretrained', checkpoint=str(file), prefix='backbone.')
    return config


@pytest.fixture(scope='module')
def trained(config: Config) -> tuple[Runner, dict, dict]:
    """A runner after training, what its model was before, and the last metrics."""
    with DefaultScope.overwrite_default_scope(config.default_scope):
        runner = Runner.from_cfg(config.copy())
        model = runner.model
        model.init_weights()
        before = {name: value.clone() for name, value in model.named_parameters()}
        runner.train()
        return runner, before, runner.val_loop.run()


def test_additions_and_heads_learn_and_nothing_else(trained, config):
    runner, before, _ = trained
    after = dict(runner.model.named_parameters())
    public = torch.load(config.model.backbone.module.init_cfg.checkpoint)

    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    base = {n for n in after if n.startswith('backbone.') and '.lora_' not in n}
    assert changed >= {n for n in after if '.lora_' in n}
    assert changed >= {n for n in after if n.endswith('_head.conv_seg.weight') or '.fc_cls.' in n}
    assert not changed & base
    for name in base:
        own = name.replace('module.', '').replace('original_layer.', '')
        assert torch.equal(after[name], public[own])


def test_additions_have_the_rates_of_their_layers(trained):
    groups = trained[0].optim_wrapper.optimizer.param_groups
    rates = {name: group['lr_scale'] for group in groups for name in group['param_names']}

    learning = {name for name, p in trained[0].model.named_parameters() if p.requires_grad}
    assert rates.keys() == learning
    for name, rate in rates.items():
        # Of two layers, each at half the rate of what follows.
        layer = name.split('.')[3] if name.startswith('backbone.') else None
        assert rate == {'0': 0.25, '1': 0.5, None: 1.0}[layer]


def test_a_test_of_the_checkpoint_finds_what_the_training_found(trained, config, tmp_path):
    runner, _, metrics = trained
    (checkpoint,) = Path(runner.work_dir).glob('*_2.pth')
    saved = torch.load(checkpoint, weights_only=False)['state_dict']
    again = config.copy()
    again.update(load_from=str(checkpoint), work_dir=str(tmp_path), experiment_name=f'{tmp_path}')

    with DefaultScope.overwrite_default_scope(config.default_scope):
        tester = Runner.from_cfg(again)
        found = tester.test()

    assert metrics and found == metrics
    for own, trained_one in zip(tester.model.parameters(), runner.model.parameters(), strict=True):
        assert torch.equal(own, trained_one)
    assert not [n for n in saved if n.startswith('backbone.') and '.lora_' not in n]
