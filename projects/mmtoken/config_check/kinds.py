"""Which registries a type is looked up in, by the place where its dict stands."""

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """What a place of a config takes.

    Args:
        names: Names of the registries; empty where nothing is known about the place.
        only: Whether nothing else is looked up there. Otherwise these are asked first.
        word: What one of them is called in a sentence.
    """

    names: frozenset[str] = frozenset()
    only: bool = False
    word: str = ''


def _only(word: str, *names: str) -> Kind:
    return Kind(frozenset(names or {word}), True, word)


ANY = Kind()
# What builds these is mmengine's runner and the datasets of all libraries, each from one registry.
# The first part that fits says it; digits are left out of a path.
_KINDS = (
    (r'\w+_dataloader(\.datasets?)+', _only('dataset')),
    (r'(\w+_dataloader(\.datasets?)*\.pipeline|tta_pipeline)(\.transforms)*', _only('transform')),
    (r'\w+_dataloader\.(batch_)?sampler', _only('data sampler')),
    (r'\w+_dataloader\.collate_fn', _only('function')),
    (r'(val|test)_evaluator(\.metrics)?', _only('metric', 'metric', 'evaluator')),
    (r'(default_hooks\.\w+|custom_hooks)', _only('hook')),
    (r'optim_wrapper(\.\w+)?\.optimizer', _only('optimizer')),
    (r'param_scheduler(\.\w+)?', _only('parameter scheduler')),
    (r'visualizer', _only('visualizer')),
    (r'visualizer\.vis_backends', _only('vis backend')),
    (r'(train|val|test)_cfg', _only('loop')),
    (r'(model|tta_model|data_preprocessor)(\..+)?', Kind(
        frozenset({'model', 'task util', 'batch augment', 'tokenizer', 'weight initializer'}),
        word='part of a model',
    )),
)  # fmt: skip


def kind_at(path: Sequence[str]) -> Kind:
    """Find what a place takes.

    Args:
        path: Where the dict stands, such as ``('train_dataloader', 'dataset')``.

    Returns:
        The registries, by the names that mmengine gives them.
    """
    place = '.'.join(part for part in path if not part.isdigit())
    return next((kind for pattern, kind in _KINDS if re.fullmatch(pattern, place)), ANY)
