"""Token-level vision transformers on OpenMMLab; importing the package registers all of it.

It also replaces mmengine's checkpoint loaders for the whole process, so that nothing in a
checkpoint is executed, whichever project loads it (`runtime/safe_loading.py`).
"""

from .errors import exit_tools_on_user_error
from .runtime.stack import import_stack, require_stack

__version__ = '0.1.0'

# Before anything that imports OpenMMLab, so that a wrong installation is answered by a sentence.
with exit_tools_on_user_error():
    require_stack()
    import_stack()

from . import (  # noqa: E402
    cat,
    convert,
    datasets,
    dense,
    dwnet,
    life,
    lv_vit,
    psvit,
    pyramid,
    rollout,
    swin,
    t2t,
    tl_align,
    vit,
    vit_calibrator,
)
from .runtime import strict_load  # noqa: E402
from .runtime.own_configs import config_path, register_models  # noqa: E402
from .runtime.safe_loading import install_safe_loaders  # noqa: E402

install_safe_loaders()
register_models()

__all__ = [
    'cat',
    'config_path',
    'convert',
    'datasets',
    'dense',
    'dwnet',
    'life',
    'lv_vit',
    'psvit',
    'pyramid',
    'rollout',
    'strict_load',
    'swin',
    't2t',
    'tl_align',
    'vit',
    'vit_calibrator',
]
