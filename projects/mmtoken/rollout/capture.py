"""One forward pass of a whole model, its own prediction unchanged, that remembers what entered each
layer of the backbone.
"""

from __future__ import annotations

from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass
from math import prod

import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from mmengine.utils import to_2tuple
from torch import Tensor, nn

from mmtoken.checks import is_whole
from mmtoken.errors import UserError
from mmtoken.pyramid import PyramidBlock, TokenPyramid
from mmtoken.tokens import Tokens
from mmtoken.unwrap import unwrap
from mmtoken.vit import BasePool, TokenBlock
from mmtoken.vit.token_backbone import TokenBackbone


@dataclass
class Step:
    """A layer that ran, pooling being one, and the tokens that entered it."""

    layer: TokenBlock | PyramidBlock | BasePool
    tokens: Tokens

    @property
    def is_pool(self) -> bool:
        """Whether the layer pools tokens, rather than let them attend."""
        return isinstance(self.layer, BasePool)


@dataclass
class Capture:
    """What a model predicted for one image, and what entered the layers of its backbone.

    Args:
        model: The model.
        sample: Its prediction, of whichever library.
        steps: The layers that ran, the pooling between them too, in order; each ``tokens.x`` is
            (1, N, C).
        image: The image as the pipeline left it, before the preprocessor normalizes and pads it,
            (3, h, w), blue first as OpenMMLab's loaders have it.
        left: The tokens that left the last of the layers.
    """

    model: BaseModel
    sample: BaseDataElement
    steps: list[Step]
    image: Tensor
    left: Tokens

    @property
    def backbone(self) -> TokenBackbone:
        """The model's backbone."""
        return self.model.backbone

    @property
    def depth(self) -> int:
        """How many layers ran, pooling not counted."""
        return sum(not step.is_pool for step in self.steps)

    def select(self, layers: tuple[int, int] | None) -> list[Step]:
        """The steps of a layer range, and all that pool, inside and outside of it: the tokens
        before and after them are not the same.

        Args:
            layers: First and last layer, both included, pooling not counted; negatives count from
                the last one that ran; None for all.

        Raises:
            UserError: If the range is not one of these layers.
        """
        if layers is None:
            return self.steps
        places = range(self.depth)
        try:
            first, last = (places[place] for place in layers)
        except (IndexError, TypeError, ValueError):
            first, last = 1, 0
        if first > last:
            raise UserError(
                f'layers {layers} is no range of the {len(places)} layers that ran; '
                f'give the first and the last, within 0..{len(places) - 1}'
            )
        chosen, place = [], -1
        for step in self.steps:
            place += not step.is_pool
            if step.is_pool or first <= place <= last:
                chosen.append(step)
        return chosen

    @property
    def token_sides(self) -> tuple[int, int]:
        """Height and width of a token that left, in pixels of the (padded) image: of the patches
        that pooling made one of.
        """
        strides = [to_2tuple(step.layer.stride) for step in self.steps if step.is_pool]
        return tuple(
            self.backbone.patch_size * prod(stride[axis] for stride in strides) for axis in (0, 1)
        )

    def pixel_size(self, shape: tuple[int, int]) -> tuple[float, float]:
        """Height and width of a pixel of the original image, in pixels of the network's input.

        Args:
            shape: Of the original image, (y, x); read where the pipeline recorded no scale, the
                image then being taken for the whole original one.
        """
        # A pipeline that pads enlarges the image beyond its scale.
        if 'scale_factor' in self.sample:
            width, height = self.sample.scale_factor[:2]
            return float(height), float(width)
        height, width = self.image.shape[-2:]
        return height / shape[0], width / shape[1]


def capture(model: nn.Module, data: dict, stage: int | None = None) -> Capture:
    """Let a model predict one image, by its own `test_step`, and keep what entered each layer.

    Args:
        model: A segmentor, detector or classifier whose backbone is of the `TokenViT` family, or a
            pyramid that attends.
        data: What its data loader yields for one image: ``inputs`` and ``data_samples`` of length
            one. Neither is changed.
        stage: Of a pyramid, the stage whose tokens are those that left; negatives count from the
            last that runs, which is the default.

    Returns:
        The capture; L·N·C numbers of memory.

    Raises:
        UserError: If the backbone is none of the family, if it has no such stage, if there is not
            exactly one image, if the model cannot take it, or if it looks at it in several pieces.
    """
    model = family_model(model)
    backbone = model.backbone
    depth = _depth_of(backbone, stage)
    image = _single_image(data, backbone)
    steps, runs, left = [], [], []
    modes = [(module, module.training) for module in model.modules()]
    with ExitStack() as stack, torch.no_grad():
        stack.callback(_restore, modes)
        model.eval()
        hooks = [backbone.register_forward_pre_hook(lambda _, inputs: runs.append(None))]
        for layer in (*backbone.layers, *backbone.pools.values()):
            hooks += [
                layer.register_forward_pre_hook(lambda _, i, m=layer: steps.append(Step(m, i[0]))),
                layer.register_forward_hook(lambda _, i, out: left.append(out)),
            ]
        for hook in hooks:
            stack.callback(hook.remove)
        sample = _predict(model, data, image)
    if len(runs) != 1:
        raise UserError(
            f'the model runs its backbone {len(runs)} times on this image, as for sliding windows '
            'or test-time augmentation; a roll-out needs one run: set model.test_cfg.mode=whole'
        )
    ends = [index for index, step in enumerate(steps) if not step.is_pool]
    last = ends[depth - 1]
    return Capture(model, sample, steps[: last + 1], image, left[last])


def _depth_of(backbone: TokenBackbone, stage: int | None) -> int:
    """How many layers run up to the end of a stage."""
    stages = sorted({plan.stage for plan in backbone.plans[: backbone.num_running]})
    if stage is None:
        return backbone.num_running
    known = is_whole(stage) and -len(stages) <= stage < len(stages)
    if not isinstance(backbone, TokenPyramid) or not known:
        kinds = f'stages 0..{stages[-1]}' if isinstance(backbone, TokenPyramid) else 'no stages'
        raise UserError(
            f'stage {stage!r} is none of {type(backbone).__name__}, which runs {kinds}; '
            'choose another, or leave it out for the last'
        )
    return sum(plan.stage <= stages[stage] for plan in backbone.plans[: backbone.num_running])


def family_model(model: nn.Module) -> nn.Module:
    """A model without wrappers, its backbone one of the family.

    Raises:
        UserError: If the backbone is none of the family.
    """
    model = unwrap(model)
    backbone = getattr(model, 'backbone', None)
    if not isinstance(backbone, TokenBackbone):
        raise UserError(
            f'{type(model).__name__} has the backbone {type(backbone).__name__}, '
            'which is none of the TokenViT family; '
            'only its attention carries the trace: use TokenViT, LIFEViT or a pyramid'
        )
    if not backbone.has_attention:
        raise UserError(
            f'{type(backbone).__name__} mixes tokens without attention, so that there is nothing '
            'to roll out; use a backbone that attends'
        )
    return model


def _restore(modes: list[tuple[nn.Module, bool]]) -> None:
    # Module by module, because `train` would set those that their owner had put in another mode.
    for module, training in modes:
        module.training = training


def _single_image(data: dict, backbone: TokenBackbone) -> Tensor:
    if not isinstance(data, dict) or not {'inputs', 'data_samples'} <= data.keys():
        raise UserError(
            f'data is a {type(data).__name__} without inputs and data_samples; '
            'give what the test data loader yields: dict(inputs=[image], data_samples=[sample])'
        )
    counts = len(data['inputs']), len(data['data_samples'])
    if counts != (1, 1):
        raise UserError(
            f'data holds {counts[0]} images and {counts[1]} data samples; give one of each'
        )
    image = data['inputs'][0]
    channels = backbone.in_channels
    if not isinstance(image, Tensor) or image.ndim != 3 or len(image) != channels:
        raise UserError(
            f'the image has shape {tuple(getattr(image, "shape", ()))}; '
            f'the model takes ({channels}, height, width)'
        )
    return image


def _predict(model: BaseModel, data: dict, image: Tensor) -> BaseDataElement:
    # Copied, because preprocessors and heads write into the samples.
    data = dict(data, data_samples=deepcopy(data['data_samples']))
    try:
        (sample,) = model.test_step(data)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, AssertionError, ValueError, TypeError, KeyError) as error:
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise UserError(
            f'the model cannot take the image of shape {tuple(image.shape)}: {reason}; '
            'prepare it with the test pipeline of its config'
        ) from error
    return sample
