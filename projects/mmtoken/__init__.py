"""Token-level vision transformers on OpenMMLab; importing the package registers all of it.

It also replaces how mmengine loads and saves checkpoints, for the whole process: nothing in one is
executed, whichever project loads it (`runtime/safe_loading.py`), nor in a pickle of data
(`runtime/safe_pickles.py`), and one that is there is whole (`runtime/saving/atomic_saving.py`).
"""

from .errors import exit_tools_on_user_error
from .runtime.newer_transformers import leave_out_multimodal
from .runtime.stack import import_stack, require_stack
from .runtime.waiting import wait_passively

__version__ = '0.1.0'

# Before anything that loads torch, which reads it then.
wait_passively()

# Before anything that imports OpenMMLab, so that a wrong installation is answered by a sentence.
with exit_tools_on_user_error():
    _stack = require_stack()
    import_stack()
    leave_out_multimodal(_stack)

from . import (  # noqa: E402
    cat,
    convert,
    datasets,
    dense,
    dwnet,
    life,
    lora,
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
from .convert.from_timm import backbone_from_timm  # noqa: E402
from .runtime import strict_load  # noqa: E402
from .runtime.bad_data import hook as bad_data_hook  # noqa: E402
from .runtime.config_text import install_config_text  # noqa: E402
from .runtime.guards import non_finite_hook, signal_hook, watchdog_hook  # noqa: E402
from .runtime.named_models import get_model, list_models  # noqa: E402
from .runtime.own_configs import config_path, register_models  # noqa: E402
from .runtime.resuming import resume_hook  # noqa: E402
from .runtime.resuming.resume_choice import install_resume_choice  # noqa: E402
from .runtime.safe_loading import install_safe_loaders  # noqa: E402
from .runtime.safe_pickles import install_safe_pickles  # noqa: E402
from .runtime.saving import checkpoint_hook  # noqa: E402
from .runtime.saving.atomic_saving import install_atomic_saving  # noqa: E402
from .runtime.saving.scheduler_states import install_plain_scheduler_states  # noqa: E402

install_safe_loaders()
install_safe_pickles()
install_config_text()
install_atomic_saving()
install_plain_scheduler_states()
install_resume_choice()
register_models()

__all__ = [
    'backbone_from_timm',
    'bad_data_hook',
    'cat',
    'checkpoint_hook',
    'config_path',
    'convert',
    'datasets',
    'dense',
    'dwnet',
    'get_model',
    'life',
    'list_models',
    'lora',
    'lv_vit',
    'non_finite_hook',
    'psvit',
    'pyramid',
    'resume_hook',
    'rollout',
    'signal_hook',
    'strict_load',
    'swin',
    't2t',
    'tl_align',
    'vit',
    'vit_calibrator',
    'watchdog_hook',
]
