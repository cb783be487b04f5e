"""Whether a feature pyramid fits the maps of the backbone before it."""

from mmengine.hooks import Hook
from mmpretrain.registry import HOOKS
from torch import nn

from mmtoken.errors import UserError

from .simple_feature_pyramid import SimpleFeaturePyramid


@HOOKS.register_module()
class PyramidCheckHook(Hook):
    """Refuse a `SimpleFeaturePyramid` of another stride or width than its backbone's maps, before a
    run starts.

    A map does not say its stride: with a wrong one the model would train, on levels whose boxes are
    too large or too small.
    """

    def before_run(self, runner) -> None:
        """Check the model before its weights are loaded."""
        check_pyramids(runner.model)


def check_pyramids(model: nn.Module) -> None:
    """Hold every `SimpleFeaturePyramid` against the backbone beside it.

    Args:
        model: A detector or segmentor, or what wraps one or several. A backbone without
            `out_strides` and `embed_dims` is taken to fit.

    Raises:
        UserError: If a pyramid does not fit, with what it has to be set to.
    """
    for module in model.modules():
        backbone, neck = (getattr(module, name, None) for name in ('backbone', 'neck'))
        if isinstance(neck, nn.Sequential):
            neck = neck[0]
        if not isinstance(neck, SimpleFeaturePyramid) or not hasattr(backbone, 'out_strides'):
            continue
        stride, channels = backbone.out_strides[-1], backbone.embed_dims
        for name, right, found in (
            ('patch_size', stride, f'a stride of {stride}'),
            ('in_channels', channels, f'{channels} channels'),
        ):
            given = getattr(neck, name)
            if given != right:
                raise UserError(
                    f'{name} {given} of SimpleFeaturePyramid does not fit its backbone '
                    f'{type(backbone).__name__}, whose last map has {found}; set {name}={right} in '
                    'the config of the neck'
                )
