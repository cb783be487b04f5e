"""A config's model with the weights of a checkpoint, nothing of it left random, and its images."""

from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import cv2
from mmengine.config import Config, ConfigDict
from mmengine.dataset import Compose
from mmengine.registry import DATASETS, MODELS, init_default_scope
from torch import nn

from mmtoken.errors import UserError, reason_of
from mmtoken.vit.pretrained import compare_state, enforce, update_names
from mmtoken.weights import read_state


def load_model(cfg: Config, checkpoint: str, device: str = 'cpu') -> nn.Module:
    """Build a config's model and load its weights strictly.

    Args:
        cfg: A config of any of the three libraries; its default scope is set.
        checkpoint: The weights.
        device: Where to.

    Returns:
        The model in evaluation mode; its `dataset_meta` has the names of the classes.

    Raises:
        UserError: If the weights are not there, damaged, or do not cover the model.
    """
    model = build_model(cfg)
    load_weights(model, checkpoint)
    return model.to(device).eval()


def build_model(cfg: Config) -> nn.Module:
    """Build a config's model, its weights random.

    Args:
        cfg: A config of any of the three libraries; its default scope is set.

    Returns:
        The model, on the CPU and in training mode; its `dataset_meta` has the names of the classes
        that its config tests on, where it tests on any.
    """
    init_default_scope(cfg.default_scope)
    settings = deepcopy(cfg.model)
    if cfg.get('data_preprocessor'):
        settings.setdefault('data_preprocessor', cfg.data_preprocessor)
    model = MODELS.build(settings)
    model.dataset_meta = dict(classes=_class_names(cfg) if cfg.get('test_dataloader') else ())
    return model


def load_weights(model: nn.Module, checkpoint: str) -> None:
    """Load all weights of a model.

    Args:
        model: The model.
        checkpoint: The weights.

    Raises:
        UserError: If the weights are not there, damaged, or do not cover the model.
    """
    state = read_state(checkpoint)
    source = f'the weights of {checkpoint}'
    update_names(model, state)
    enforce(compare_state(model, state), source, allow_partial=False, switch=None)
    model.load_state_dict(state)


def _class_names(cfg: Config) -> Sequence[str]:
    """The classes of the data that a config tests on: its own, or its type's."""
    dataset = tested_dataset(cfg)
    names = (dataset.get('metainfo') or {}).get('classes')
    if not names:
        # The root registry knows the libraries' types only by their scope.
        with DATASETS.switch_scope_and_registry(cfg.default_scope) as datasets:
            names = (datasets.get(dataset.type).METAINFO or {}).get('classes')
    return names or ()


def tested_dataset(cfg: Config) -> ConfigDict:
    """The config of the dataset that a config tests on, without what wraps it."""
    dataset = cfg.test_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    return dataset


def load_image(cfg: Config, path: Path) -> dict:
    """One image through the config's test pipeline, without annotations.

    Args:
        cfg: The config; its default scope is set.
        path: The image.

    Returns:
        What the test data loader would yield for it.

    Raises:
        UserError: If the file is no image that can be read.
    """
    steps = [step for step in tested_dataset(cfg).pipeline if 'LoadAnnotations' not in step.type]
    try:
        packed = Compose(steps)(dict(img_path=str(path), img_id=0))
    # mmcv asserts that OpenCV knows the format.
    except (OSError, AssertionError, cv2.error) as error:
        raise UserError(
            f'image {str(path)!r} cannot be read ({reason_of(error)}); '
            'give an image file, such as PNG or JPEG'
        ) from error
    return dict(inputs=[packed['inputs']], data_samples=[packed['data_samples']])
