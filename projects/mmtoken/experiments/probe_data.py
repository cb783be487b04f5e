"""The scenes that a probe learns from and is tested on, out of a segmentation config."""

from collections.abc import Sequence

from mmengine.config import Config, ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, MODELS
from torch import nn

from mmtoken.errors import UserError
from mmtoken.runtime.load_model import tested_dataset


def check_data_config(cfg: Config) -> None:
    """Refuse a config that is not one of segmentation, with what to do.

    Args:
        cfg: The config whose data are probed on.

    Raises:
        UserError: If it has another scope, or lacks data.
    """
    lacking = [name for name in ('train_dataloader', 'test_dataloader') if not cfg.get(name)]
    if cfg.get('default_scope') != 'mmseg' or lacking:
        reason = f'it lacks {lacking[0]}' if lacking else 'it is no config of mmsegmentation'
        raise UserError(
            f'config {cfg.filename} has no segmentation data to probe on ({reason}); '
            'name a segmentation config that has with --data'
        )


def build_dataset(cfg: Config, training: bool) -> BaseDataset:
    """The training or the test data, both through the test pipeline.

    Args:
        cfg: A segmentation config.
        training: Which of the two.
    """
    pipeline = tested_dataset(cfg).pipeline
    loader = cfg.train_dataloader if training else cfg.test_dataloader
    with DATASETS.switch_scope_and_registry(cfg.default_scope) as registry:
        return registry.build(_with_pipeline(loader.dataset, pipeline))


def _with_pipeline(dataset: ConfigDict, pipeline: list) -> ConfigDict:
    """A dataset's config, without what repeats or mixes it, with another pipeline."""
    if 'dataset' in dataset:
        return _with_pipeline(dataset.dataset, pipeline)
    if 'datasets' in dataset:
        parts = [_with_pipeline(part, pipeline) for part in dataset.datasets]
        return ConfigDict(dataset, datasets=parts)
    return ConfigDict(dataset, pipeline=pipeline)


def build_preprocessor(cfg: Config) -> nn.Module:
    """What normalizes and pads the images of a segmentation config.

    Args:
        cfg: The config.

    Raises:
        UserError: If it has none.
    """
    settings = _preprocessor_of(cfg)
    if not settings:
        raise UserError(
            f'config {cfg.filename} has no data_preprocessor, which normalizes the images; add one '
            'to its model'
        )
    with MODELS.switch_scope_and_registry(cfg.default_scope) as registry:
        return registry.build(settings)


def _preprocessor_of(cfg: Config) -> ConfigDict | None:
    return (cfg.get('model') or {}).get('data_preprocessor') or cfg.get('data_preprocessor')


def normalized_alike(cfg: Config, data_cfg: Config) -> bool:
    """Whether a model's own config normalizes images as the one does whose data it is probed on.

    Args:
        cfg: The model's config, of any of the three libraries.
        data_cfg: The segmentation config.
    """

    def normalization(settings: ConfigDict) -> tuple:
        turned = settings.get('to_rgb', False) or settings.get('bgr_to_rgb', False)
        moments = (settings.get(name) or () for name in ('mean', 'std'))
        return bool(turned), *map(tuple, moments)

    own = _preprocessor_of(cfg)
    return own is None or normalization(own) == normalization(_preprocessor_of(data_cfg))


def choose_scenes(dataset: BaseDataset, asked: int | Sequence[int] | None, name: str) -> list[int]:
    """The scenes that are used, as positions in their data set.

    Args:
        dataset: The data set.
        asked: How many, the first of them; which; or None for all.
        name: What they are called, for the error.

    Raises:
        UserError: If there are none, the data set lacks one, or one is chosen twice.
    """
    total = len(dataset)
    if asked is None:
        asked = total
    chosen = list(range(asked)) if isinstance(asked, int) else list(asked)
    if not chosen:
        raise UserError(f'{name} scenes: none is chosen; use 1 to {total} of the data set')
    strange = next((scene for scene in chosen if not 0 <= scene < total), None)
    if strange is not None:
        said = asked if isinstance(asked, int) else f'the scene {strange}'
        raise UserError(
            f'{name} scenes: {said} is not in the data set, which has {total}, numbered from 0'
        )
    if len(set(chosen)) < len(chosen):
        twice = next(scene for scene in chosen if chosen.count(scene) > 1)
        raise UserError(f'{name} scenes: {twice} is chosen twice; name each once')
    return chosen
