"""Wherever a wrapped model may come, what is inside it is meant."""

import pytest
import torch
from mmengine.model import BaseModel, BaseTTAModel
from mmpretrain.registry import MODELS
from torch import nn

from mmtoken.dense import TokenViTLayerDecayConstructor
from mmtoken.rollout.capture import family_model
from mmtoken.runtime.strict_load import StrictLoadHook
from mmtoken.unwrap import unwrap


class AverageTTA(BaseTTAModel):
    def merge_preds(self, data_samples_list):
        return data_samples_list


class Model(BaseModel):
    """A model over a tiny backbone, as the three libraries have it."""

    def __init__(self):
        super().__init__()
        arch = dict(embed_dims=24, num_layers=1, num_heads=3, feedforward_channels=48)
        backbone = dict(type='TokenViT', arch=arch, img_size=16, patch_size=8)
        self.backbone = MODELS.build(backbone)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return self.backbone(inputs)

    def test_step(self, data):
        return []


WRAPS = {
    'not at all': lambda model: model,
    'for several processes': nn.DataParallel,
    'for augmentation': AverageTTA,
    'twice': lambda model: nn.DataParallel(AverageTTA(model)),
}


@pytest.fixture(params=WRAPS)
def wrap(request):
    return WRAPS[request.param]


def test_the_model_is_found(wrap):
    model = Model()

    assert unwrap(wrap(model)) is model


def test_layers_decay_in_it(wrap):
    model = Model()
    optimizer = dict(optimizer=dict(type='SGD', lr=0.1))

    built = TokenViTLayerDecayConstructor(optimizer, dict(layer_decay_rate=0.5))(wrap(model))

    names = [name for group in built.optimizer.param_groups for name in group['param_names']]
    assert sorted(names) == sorted(name for name, _ in model.named_parameters())


def test_it_is_rolled_out(wrap):
    model = Model()

    assert family_model(wrap(model)) is model


def test_checkpoints_are_held_against_it(wrap):
    model = Model()

    class Runner:
        pass

    runner = Runner()
    runner.model = wrap(model)
    state = {name: torch.zeros_like(value) for name, value in model.state_dict().items()}

    StrictLoadHook().after_load_checkpoint(runner, dict(state_dict=state))
