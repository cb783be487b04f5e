"""Token-level vision transformers on OpenMMLab; importing the package registers all of it."""

from .runtime.stack import require_stack

__version__ = '0.1.0'

# Before anything that imports OpenMMLab, so that a wrong installation is answered by a sentence.
require_stack()

from . import convert, datasets, dense, life, vit  # noqa: E402
from .runtime import strict_load  # noqa: E402
from .safe_loading import allow_mmengine_checkpoints  # noqa: E402

allow_mmengine_checkpoints()

__all__ = ['convert', 'datasets', 'dense', 'life', 'strict_load', 'vit']
