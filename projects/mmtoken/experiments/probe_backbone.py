"""A config's backbone, frozen, with a checkpoint's weights or random ones, and its feature maps."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy

import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.utils import to_2tuple
from torch import Tensor, nn

from mmtoken.errors import UserError
from mmtoken.vit.pretrained import compare_state, enforce, update_names
from mmtoken.vit.token_backbone import TokenBackbone
from mmtoken.weights import is_pretrained, read_state

PREFIX = 'backbone.'


def build_frozen_backbone(
    cfg: Config, weights: str | Mapping[str, Tensor] | None, seed: int = 0, device: str = 'cpu'
) -> nn.Module:
    """Build a config's backbone and load its weights strictly, or leave it as it is initialized.

    Args:
        cfg: A config of any of the three libraries.
        weights: A checkpoint's file, or the weights themselves: of the whole model, those of the
            backbone under 'backbone.', or of the backbone alone. None for the initialization that
            the config asks for, without what it loads from a checkpoint.
        seed: Of the random weights.
        device: Where to.

    Returns:
        The backbone in evaluation mode.

    Raises:
        UserError: If the config has no backbone, or the weights are not there or do not cover it.
    """
    settings = deepcopy((cfg.get('model') or {}).get('backbone'))
    if settings is None:
        raise UserError(
            f'config {cfg.filename} has no model.backbone, and only backbones are probed; '
            'give the config of a classifier, detector or segmentor'
        )
    asked = settings.pop('init_cfg', None)
    asked = asked if isinstance(asked, (list, tuple)) else [asked]
    own = [init_cfg for init_cfg in asked if init_cfg and not is_pretrained(init_cfg)]
    if own:
        settings.init_cfg = own
    scope = MODELS.switch_scope_and_registry(cfg.get('default_scope'))
    # The caller's random numbers go on afterwards as if nothing had been drawn.
    with scope as registry, torch.random.fork_rng(devices=[]), hushed():
        torch.manual_seed(seed)
        backbone = registry.build(settings)
        if weights is None:
            backbone.init_weights()
    if weights is not None:
        _load(backbone, weights)
    # Set on what was built, so that the weights were held to what the config asks for: some models
    # have a norm for one output alone.
    if hasattr(backbone, 'out_type'):
        backbone.out_type = 'featmap'
    backbone.eval()  # what it returns is nothing where the library overrides `train`
    return backbone.to(device).requires_grad_(False)


@contextmanager
def hushed() -> Iterator[None]:
    """Keep from the log what the libraries say about models that are built, and not run."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)


def _load(backbone: nn.Module, weights: str | Mapping[str, Tensor]) -> None:
    """Load what stands under the prefix, or everything where nothing does."""
    named = isinstance(weights, str)
    state = read_state(weights) if named else dict(weights)
    own = {name.removeprefix(PREFIX): v for name, v in state.items() if name.startswith(PREFIX)}
    state = own or state
    source = f'the backbone weights of {weights}' if named else 'the backbone weights'
    update_names(backbone, state)
    if isinstance(backbone, TokenBackbone):
        # A pyramid's classifier has none of the norms of its lower maps.
        backbone.complete_on_load(state)
    enforce(compare_state(backbone, state), source, allow_partial=False, switch=None)
    backbone.load_state_dict(state)


def feature_map(backbone: nn.Module, images: Tensor, level: int = -1) -> Tensor:
    """One of the feature maps of some images.

    Args:
        backbone: A frozen backbone.
        images: (B, 3, height, width), as the data preprocessor makes them.
        level: Which of the maps that it returns; negatives count from the end.

    Returns:
        (B, C, H, W).

    Raises:
        UserError: If it refuses the images, or returns no such map.
    """
    name = type(backbone).__name__
    try:
        with torch.inference_mode():
            outs = backbone(images)
    except AssertionError as error:  # The libraries assert what sizes they can do.
        raise UserError(
            f'backbone {name} refuses images of {"x".join(map(str, images.shape[2:]))} pixels: '
            f'{error}; change its settings, or the size in the test pipeline of the data'
        ) from error
    outs = tuple(outs) if isinstance(outs, (list, tuple)) else (outs,)
    if not -len(outs) <= level < len(outs):
        raise UserError(
            f'level {level} is none of the {len(outs)} outputs of {name}; '
            f'use {-len(outs)}..{len(outs) - 1}, or set model.backbone.out_indices'
        )
    found = outs[level]
    if not isinstance(found, Tensor) or found.ndim != 4:
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise UserError(
            f'backbone {name} returns {shape} and no feature map (images, channels, rows, '
            'columns); probe one that does'
        )
    return found


def cell_size(
    backbone: nn.Module, size: tuple[int, int], grid: tuple[int, int], level: int = -1
) -> tuple[float, float]:
    """Height and width in pixels of what one cell of a feature map stands for.

    Backbones of the family say it (`out_strides`): where the last patches are partly padding, it is
    not what an even division gives. Of others the image is divided evenly, as mmsegmentation does
    when it enlarges a head's scores.

    Args:
        backbone: The backbone.
        size: Height and width of the image in pixels, as the backbone got it.
        grid: (H, W) of the map.
        level: Which map.
    """
    strides = getattr(backbone, 'out_strides', None)
    if strides:
        return to_2tuple(strides[level])
    return size[0] / grid[0], size[1] / grid[1]
