"""A transformers that is too new for mmpretrain must not keep mmtoken from being imported.

mmpretrain imports its multimodal models, and with them transformers, wherever that is installed;
and its import fails where transformers no longer has what they need.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

from .stack import release_numbers

# From here on, it fails: 1.2.0 of OpenMMLab with 4.57 and 5.24 (4.50 took `GenerationMixin` from
# `modeling_utils`), 1.3.6 of OneDL with 5.24, and not with 4.57 (seen).
TOO_NEW = {'onedl': (5,), 'openmmlab': (4, 50)}


def leave_out_multimodal(stack: str, version_of: Callable[[str], str] = version) -> None:
    """Let mmpretrain go without its multimodal models where it could not be imported with them.

    Who builds one of them is then asked for its dependencies by mmpretrain, as where there is no
    transformers at all. Nothing changes where they can be imported.

    Args:
        stack: The name of the installed stack.
        version_of: As of `inspect_stack`.
    """
    try:
        found = version_of('transformers')
    except PackageNotFoundError:
        return
    if release_numbers(found) >= TOO_NEW[stack]:
        # Read when its models are imported, which `import mmpretrain` does not do.
        import_module('mmpretrain.utils.dependency').WITH_MULTIMODAL = False
