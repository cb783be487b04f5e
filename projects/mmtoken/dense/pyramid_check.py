"""Whether necks and heads fit the maps of the backbone before them."""

import copy
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.utils import to_2tuple
from mmpretrain.registry import HOOKS
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from mmtoken.errors import UserError

from .simple_feature_pyramid import SimpleFeaturePyramid

# Heads that read a backbone's outputs where there is no neck.
HEADS = ('decode_head', 'auxiliary_head', 'head')
# What two-stage detectors have.
DETECTING = ('rpn_head', 'roi_head')
# Whose necks assert how many maps they take, and nothing of the size of an image.
_ASSERTING = ('mmdet.', 'mmpretrain.', 'mmseg.')
_LAYERS = (_ConvNd, nn.Linear)


class _WidthError(UserError):
    """A layer of a neck gets a map of another width than it has weights for."""


@HOOKS.register_module()
class PyramidCheckHook(Hook):
    """Refuse a neck or head that `check_pyramids` refuses, before a run starts.

    A map does not say its stride: with a wrong one the model would train, on levels whose boxes are
    too large or too small.
    """

    def before_run(self, runner) -> None:
        """Check the model before its weights are loaded."""
        check_pyramids(runner.model)


def check_pyramids(model: nn.Module) -> None:
    """Hold necks, and heads that read the backbone's outputs themselves, against the backbone.

    Of a `SimpleFeaturePyramid` stride and width are compared; of other necks, of which the first is
    run without memory, number and widths of the maps that they take; of a segmentor's or
    classifier's heads, where there is no neck, the width of the map or maps that they read. A
    detector's maps have one stride for height and width. Strides of anchors and of RoI extractors
    are not looked at, nor are detectors' heads.

    Args:
        model: A classifier, detector or segmentor, or what wraps one or several. A backbone without
            `out_strides` and `out_channels` is taken to fit.

    Raises:
        UserError: If one does not fit, with what it has to be set to.
    """
    for module in model.modules():
        backbone = getattr(module, 'backbone', None)
        if not hasattr(backbone, 'out_strides'):
            continue
        neck = getattr(module, 'neck', None)
        # DETR's heads know no stride.
        one_stage = hasattr(getattr(module, 'bbox_head', None), 'prior_generator')
        if one_stage or any(hasattr(module, name) for name in DETECTING):
            check_square(backbone)
        if neck is not None:
            several = isinstance(neck, (nn.ModuleList, nn.Sequential))
            check_neck(backbone, neck[0] if several else neck)
            continue
        for name in HEADS:
            heads = getattr(module, name, None)
            several = isinstance(heads, (nn.ModuleList, nn.Sequential))
            for head in heads if several else [heads]:
                check_head(backbone, head, name)


def check_square(backbone: nn.Module) -> None:
    """Refuse maps that a detector would take for maps of one stride.

    Args:
        backbone: Has `out_strides`.

    Raises:
        UserError: If one has another stride in height than in width.
    """
    for index, stride in enumerate(backbone.out_strides):
        if not isinstance(stride, int):
            raise UserError(
                f'map {index} of {type(backbone).__name__} has strides of {stride[0]} in height '
                f'and {stride[1]} in width, and detectors know one for both; leave it out of '
                'out_indices, or pool in both directions'
            )


def check_neck(backbone: nn.Module, neck: nn.Module) -> None:
    """Hold a neck against a backbone.

    Args:
        backbone: Has `out_strides` and `out_channels`.
        neck: Any; one that fails for other reasons than the maps is taken to fit.

    Raises:
        UserError: If it does not fit.
    """
    if isinstance(neck, SimpleFeaturePyramid):
        _check_simple(backbone, neck)
        return
    try:
        trial = copy.deepcopy(neck).to('meta').eval()
        for layer in trial.modules():
            # What others make of them may read maps of any width.
            if type(layer).__module__.startswith('torch.') and isinstance(layer, _LAYERS):
                layer.register_forward_pre_hook(partial(_check_layer, backbone, neck))
        with torch.no_grad():
            trial(_made_up(backbone))
    except Exception as error:  # Whatever a library says, in a version of its own.
        _blame(backbone, neck, error)


def _check_layer(
    backbone: nn.Module, neck: nn.Module, layer: nn.Module, inputs: tuple[Tensor, ...]
) -> None:
    """Compare widths before torch does, which on the meta device does so of some layers only."""
    linear = isinstance(layer, nn.Linear)
    taken = layer.in_features if linear else layer.in_channels
    given = inputs[0].shape[-1 if linear else 1]
    # Others come of the neck itself, or of the size of an image.
    if taken != given and given in backbone.out_channels:
        raise _WidthError(
            f'{type(neck).__name__} takes a map of {taken} channels where its backbone '
            f'{type(backbone).__name__} gives one of {given}; set the widths of '
            f'its outputs, {list(backbone.out_channels)}, in the config of the neck'
        )


def _check_simple(backbone: nn.Module, neck: SimpleFeaturePyramid) -> None:
    stride, channels = backbone.out_strides[-1], backbone.out_channels[-1]
    if not isinstance(stride, int):
        raise UserError(
            f'the last map of {type(backbone).__name__} has strides of {stride[0]} in height '
            f'and {stride[1]} in width, of which SimpleFeaturePyramid makes no levels; set '
            'out_indices to a layer whose tokens are square, or pool in both directions'
        )
    right = (('patch_size', stride, f'a stride of {stride}'),)
    right += (('in_channels', channels, f'{channels} channels'),)
    for name, fitting, found in right:
        if getattr(neck, name) != fitting:
            raise UserError(
                f'{name} {getattr(neck, name)} of SimpleFeaturePyramid does not fit its '
                f'backbone {type(backbone).__name__}, whose last map has {found}; set '
                f'{name}={fitting} in the config of the neck'
            )


def _made_up(backbone: nn.Module) -> tuple[Tensor, ...]:
    """What a backbone returns of an image, without memory."""
    strides = [to_2tuple(stride) for stride in backbone.out_strides]
    side = 16 * max(map(max, strides))
    outs = []
    for (high, wide), channels in zip(strides, backbone.out_channels, strict=True):
        rows, columns = side // high, side // wide
        # (B, C, H, W), (B, H·W, C) or (B, C)
        shapes = {'featmap': (2, channels, rows, columns), 'raw': (2, rows * columns, channels)}
        shape = shapes.get(getattr(backbone, 'out_type', 'featmap'), (2, channels))
        outs.append(torch.empty(shape, device='meta'))
    return tuple(outs)


def _blame(backbone: nn.Module, neck: nn.Module, error: Exception) -> None:
    """Refuse a neck that failed, where number or widths of the maps may be why."""
    given, right = getattr(neck, 'in_channels', None), list(backbone.out_channels)
    widths = list(given) if isinstance(given, (list, tuple)) else right
    # YOLO's necks count from the deepest map.
    if widths != right[::-1] or 'YOLO' not in type(neck).__name__:
        _compare(backbone, neck, widths, right, 'the neck')
    if isinstance(error, _WidthError):
        raise error
    if isinstance(error, AssertionError) and type(neck).__module__.startswith(_ASSERTING):
        raise UserError(
            f'{type(neck).__name__} does not take the {len(right)} outputs of its backbone '
            f'{type(backbone).__name__}, of {right} channels; set these widths in the config of '
            'the neck, or out_indices in that of the backbone'
        )


def check_head(backbone: nn.Module, head: nn.Module | None, name: str) -> None:
    """Hold a head that reads the backbone's maps or tokens itself against it.

    Args:
        backbone: Has `out_channels`.
        head: Any; one without `in_channels` is taken to fit.
        name: Of its config.

    Raises:
        UserError: If it does not fit.
    """
    given, index = getattr(head, 'in_channels', None), getattr(head, 'in_index', -1)
    widths, several = backbone.out_channels, isinstance(index, Sequence)
    if given is None or (isinstance(given, (list, tuple)) and not several):
        return
    places = list(index) if several else [index]
    if not all(-len(widths) <= place < len(widths) for place in places):
        raise UserError(
            f'in_index {index} of {type(head).__name__} is none of the {len(widths)} maps of '
            f'{type(backbone).__name__}; set out_indices in the config of the backbone to as many'
        )
    found = [widths[place] for place in places]
    if isinstance(given, (list, tuple)):
        _compare(backbone, head, list(given), found, name)
    elif given != sum(found):
        # One that concatenates several maps knows the sum of their widths alone.
        _compare(backbone, head, given, found if several else found[0], name)


def _compare(backbone: nn.Module, user: nn.Module, given: Any, right: Any, name: str) -> None:
    if given != right:
        raise UserError(
            f'in_channels {given} of {type(user).__name__} does not fit its backbone '
            f'{type(backbone).__name__}, whose outputs have {right} channels; set '
            f'in_channels={right} in the config of {name}'
        )
