"""Tell whether a config is still the one that a result came from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS

from mmtoken.runtime.guards.guard import Guard
from mmtoken.tasks.task import text_digest


def config_digest(cfg: Config, names: Mapping[Path, str]) -> str:
    """The digest of all that decides a result.

    What guards a run changes nothing in a run that nothing goes wrong in, nor does what writes its
    checkpoints: neither asks for a result to be found anew. Our design.

    Args:
        cfg: A run's config.
        names: For each file of another run that it reads, what to call it on every machine.

    Returns:
        The digest.
    """
    content = cfg.to_dict()
    if hooks := content.get('default_hooks'):
        hooks = {name: hook for name, hook in hooks.items() if not _is_guard(hook)}
        if issubclass(_hook_type(hooks.get('checkpoint')), CheckpointHook):
            hooks['checkpoint'] = hooks['checkpoint'] | {'type': 'CheckpointHook'}
        content['default_hooks'] = hooks
    if custom := content.get('custom_hooks'):
        content['custom_hooks'] = [hook for hook in custom if not _is_guard(hook)]
    text = str(content)
    for file, name in names.items():
        text = text.replace(str(file), name)
    return text_digest(text)


def _is_guard(hook: Any) -> bool:
    return issubclass(_hook_type(hook), Guard)


def _hook_type(hook: Any) -> type:
    """The class of a hook's config; `object` where it has none."""
    kind = hook.get('type') if isinstance(hook, Mapping) else None
    if isinstance(kind, str):
        kind = HOOKS.get(kind)
    return kind if isinstance(kind, type) else object
