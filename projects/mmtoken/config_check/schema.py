"""Which keys a dict of a config may have, by its ``type`` or by its place."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mmengine.model import MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.runner import (
    EpochBasedTrainLoop,
    IterBasedTrainLoop,
    LogProcessor,
    Runner,
    TestLoop,
    ValLoop,
)
from mmengine.visualization import Visualizer
from torch.utils.data import DataLoader

from mmtoken.config_check.signature import Accepted, accepted_keywords
from mmtoken.config_check.types import Scopes, find_targets, has_type

# What Runner.from_cfg, FlexibleRunner and the three libraries' tools read, beyond the arguments of
# Runner itself.
RUN_KEYS = (
    accepted_keywords(Runner).names
    | {'activation_checkpointing', 'compile', 'efficient_conv_bn_eval', 'find_unused_parameters'}
    | {'detect_anomalous_params', 'model_wrapper_cfg', 'sync_bn', 'runner_type', 'strategy'}
    | {'custom_imports', 'tta_model', 'tta_pipeline', 'dynamo_cfg'}
) - {'cfg'}
# Keys that every dict may have, since mmengine's config and registries read them.
_EVERYWHERE = {'type', '_scope_', '_delete_'}
# Keys that a builder takes out of the dict before it calls what the type names.
_BUILDER_KEYS = {
    'norm_cfg': {'requires_grad'},
    'conv_cfg': {'fallback_on_stride'},
    'dcn': {'fallback_on_stride'},
    'upsample_cfg': {'scale_factor'},
    'nms': {'class_agnostic', 'split_thr', 'max_num'},
    'loss_cls': {'bg_cls_weight'},
    'init_cfg': {'override', 'allow_partial'},
    'override': {'name'},
    'policies': {'magnitude_key', 'magnitude_range'},
    'custom_hooks': {'priority'},
    'default_hooks': {'priority'},
    'param_scheduler': {'convert_to_iter_based', 'epoch_length'},
}
_LOOPS = {
    'train_cfg': (EpochBasedTrainLoop, IterBasedTrainLoop),
    'val_cfg': (ValLoop,),
    'test_cfg': (TestLoop,),
}
_DEFAULT_TYPES: dict[str, Callable] = {
    'log_processor': LogProcessor,
    'visualizer': Visualizer,
    'model_wrapper_cfg': MMDistributedDataParallel,
}
_FIXED = {
    'randomness': {'seed', 'deterministic', 'diff_rank_seed'},
    'auto_scale_lr': {'base_batch_size', 'enable'},
    'custom_imports': {'imports', 'allow_failed_imports'},
    'env_cfg': {'cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'},
    'env_cfg.mp_cfg': {'mp_start_method', 'opencv_num_threads'},
}
_PARAMWISE = {'custom_keys', 'bias_lr_mult', 'bias_decay_mult', 'norm_decay_mult'}
_PARAMWISE |= {'flat_decay_mult', 'dwconv_decay_mult', 'dcn_offset_lr_mult', 'bypass_duplicate'}


def accepted_keys(path: Sequence[str], node: dict, scopes: str | Scopes) -> Accepted | None:
    """Find the keys that a dict of a config may have.

    Args:
        path: Where the dict stands, such as ``('model', 'backbone')``.
        node: The dict.
        scopes: The default scope there, or those that may be.

    Returns:
        The keys, or None where any key may be right or the type is unknown.
    """
    path = tuple(path)
    if not path:
        return Accepted(frozenset(RUN_KEYS))
    if path[0] == 'optim_wrapper' and len(path) == 1:
        return _of_optim_wrapper(node, scopes)
    if path == ('optim_wrapper', 'paramwise_cfg'):
        return Accepted(frozenset(_PARAMWISE), any=True)
    if len(path) == 1 and path[0].endswith('_dataloader'):
        extra = {'num_batch_per_epoch'}
        return accepted_keywords(DataLoader) | Accepted(frozenset(extra | _EVERYWHERE))
    if has_type(node):
        return _of_type(path, node['type'], scopes)
    if len(path) == 1 and path[0] in _LOOPS:
        targets = _LOOPS[path[0]]
        if path[0] == 'train_cfg':
            targets = targets[:1] if node.get('by_epoch', True) else targets[1:]
        return _union(targets) | Accepted(frozenset({'by_epoch'} | _EVERYWHERE))
    if len(path) == 1 and path[0] in _DEFAULT_TYPES:
        return accepted_keywords(_DEFAULT_TYPES[path[0]]) | Accepted(frozenset(_EVERYWHERE))
    fixed = _FIXED.get('.'.join(path))
    return Accepted(frozenset(fixed | _EVERYWHERE)) if fixed else None


def _of_type(path: tuple[str, ...], name: str | Callable, scopes: str | Scopes) -> Accepted | None:
    """The keywords of what a type names, and those that the builder at this place reads."""
    keys = [part for part in path if not part.isdigit()]
    targets = find_targets(name, scopes, path)
    if not targets:
        return None
    extra = set(_EVERYWHERE)
    for key, names in _BUILDER_KEYS.items():
        if key in keys[-2:] or any(part.endswith(key) for part in keys[-1:]):
            extra |= names
    return _union(targets) | Accepted(frozenset(extra))


def _of_optim_wrapper(node: dict, scopes: str | Scopes) -> Accepted | None:
    """The wrapper's keywords and the constructor's; None for a dict of several optimizers."""
    if 'optimizer' not in node:
        return None
    wrapper = find_targets(node.get('type', 'OptimWrapper'), scopes) or [OptimWrapper]
    extra = {'constructor', 'paramwise_cfg'} | _EVERYWHERE
    return _union(wrapper) | Accepted(frozenset(extra))


def _union(targets: Sequence[Callable]) -> Accepted:
    accepted = Accepted()
    for target in targets:
        accepted |= accepted_keywords(target)
    return accepted


def subtrees(path: tuple[str, ...], node: Any) -> Iterator[tuple[str, Any]]:
    """Every value of a config, from the outside in.

    Args:
        path: Where ``node`` stands.
        node: A dict, a list or a plain value.

    Yields:
        The dotted key and the value: ``node`` itself, then what it holds.
    """
    yield '.'.join(path), node
    children: Any = ()
    if isinstance(node, dict):
        children = node.items()
    elif isinstance(node, (list, tuple)):
        children = enumerate(node)
    for key, child in children:
        yield from subtrees((*path, str(key)), child)


def find_places(value: Any, content: dict) -> Iterator[str]:
    """Find where a value stands below the keys that a run reads.

    Args:
        value: The value.
        content: The config.

    Yields:
        Dotted keys.
    """
    for key in content:
        for place, found in subtrees((key,), content[key]) if key in RUN_KEYS else ():
            if type(found) is type(value) and found == value:
                yield place
