"""Random edits of right configs, and what tools/train.py makes of them."""

import contextlib
import copy
import gc
import io
import resource
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

from label_stores import write_stores_of
from mmengine.config import Config
from mmengine.hooks import Hook

from mmtoken.config_check.schema import subtrees
from mmtoken.runtime import cli

CONFIGS = Path(__file__).parents[2] / 'configs' / 'digits'
TASKS = {
    'classification': 'life-d6w96_digits-cls.py',
    'token labels': 'lv-vit-d6w96_digits-cls.py',
    'pyramid': 'swinv2-d6w48_digits-cls.py',
    'schedule': 'psvit-d8w96-144_digits-cls.py',
    'detection': 'mask-rcnn_life-d6w96_digits-det.py',
    'segmentation': 'upernet_life-d6w96_digits-seg.py',
}
# Where nothing is edited: what only names the run.
NAMES = {'experiment_name', 'work_dir', 'custom_imports', 'default_scope'}
EDITS: dict[str, Callable[[Any], Any]] = {
    'negative': lambda value: -3,
    'zero': lambda value: 0,
    'huge': lambda value: 10**9,
    'fraction': lambda value: 0.37,
    'text': lambda value: 'x',
    'none': lambda value: None,
    'list': lambda value: [[1, 'a']],
    'dict': lambda value: dict(a=1),
    'empty': lambda value: {} if isinstance(value, dict) else [],
    'unknown type': lambda value: dict(type='NoSuchThing'),
}
# What takes the value away, and what needs another place.
MOVES = ('delete', 'misspell', 'swap', 'double')
MEMORY = 8 << 30
SECONDS = 30
NUMBERS = count()


class Built(Exception):
    """All is built, and training would begin."""


class StopHook(Hook):
    """Ends a run before its first step."""

    def before_train(self, runner) -> None:
        raise Built


@dataclass(frozen=True)
class Case:
    """A config with one edit.

    Args:
        content: The config.
        place: What was edited.
        edit: How.
    """

    content: dict
    place: str
    edit: str


def base_content(name: str, root: Path) -> dict:
    """A right config over tiny data.

    Args:
        name: The task.
        root: The data.
    """
    cfg = cli.load_config(str(CONFIGS / TASKS[name]))
    kind = {'detection': 'detection', 'segmentation': 'segmentation'}.get(name, 'classification')
    changes: dict[str, Any] = {}
    for loader in ('train', 'val', 'test'):
        prefix = f'{loader}_dataloader'
        changes |= {f'{prefix}.num_workers': 0, f'{prefix}.persistent_workers': False}
        changes |= {f'{prefix}.batch_size': 4, f'{prefix}.dataset.data_root': str(root / kind)}
        if kind == 'detection':
            annotations = root / kind / 'annotations' / 'instances_val.json'
            if loader != 'train':
                changes[f'{loader}_evaluator.ann_file'] = str(annotations)
    if kind != 'classification':
        changes['model.backbone.init_cfg'] = None
    cfg.merge_from_dict(changes)
    for step in cfg.train_dataloader.dataset.pipeline:
        if step.type == 'LoadTokenLabels':
            step.update(images=str(root / kind / 'train'), store=str(root / 'noise_labels'))
    write_stores_of(cfg, Path())
    return cfg.to_dict()


def places(content: dict) -> list[str]:
    """Every place of a config that may be edited, sorted."""
    found = (place for key in content.keys() - NAMES for place, _ in subtrees((key,), content[key]))
    return sorted(set(found))


def edited(content: dict, place: str, edit: str, other: str) -> Case:
    """A copy of a config with one edit.

    Args:
        content: The config.
        place: A dotted key.
        edit: What is done there.
        other: Another dotted key, where the edit needs one.
    """
    content = copy.deepcopy(content)
    node, key = _parent(content, place)
    value = node[key]
    if edit in EDITS:
        node[key] = EDITS[edit](value)
    elif edit == 'swap':
        far, far_key = _parent(content, other)
        node[key], far[far_key] = copy.deepcopy(far[far_key]), copy.deepcopy(value)
    elif edit == 'double':
        node[key] = [value, copy.deepcopy(value)]
    else:
        del node[key]
        if edit == 'misspell' and isinstance(key, str):
            node[f'{key[:-1]}{key[-1]}{key[-1]}'] = value
    return Case(content, place, edit)


def _parent(content: dict, place: str) -> tuple[Any, Any]:
    """What holds a place, and under which key or index; tuples become lists on the way."""
    *parents, last = place.split('.')
    node = content
    for part in parents:
        key = int(part) if isinstance(node, list) else part
        if isinstance(node[key], tuple):
            node[key] = list(node[key])
        node = node[key]
    return node, int(last) if isinstance(node, list) else last


def answer(case: Case, train: ModuleType, folder: Path, config: Path) -> str | None:
    """What tools/train.py says of a config.

    Args:
        case: The config.
        train: The tool.
        folder: The work dir.
        config: The file that the config is said to be from.

    Returns:
        What it says, or None where all could be built.

    Raises:
        Exception: Whatever it does not turn into a sentence.
    """
    number = next(NUMBERS)
    content = dict(copy.deepcopy(case.content), experiment_name=f'fuzz{number}')
    if isinstance(content.get('visualizer'), dict):
        content['visualizer'].setdefault('name', f'fuzz{number}')
    errors = io.StringIO()
    with (
        _tool(train, Config(content, filename=str(config), format_python_code=False)),
        _limits(),
        _silence(errors),
    ):
        try:
            train.main([str(config), '--work-dir', str(folder)])
        except Built:
            return None
        except SystemExit:
            said = errors.getvalue().strip()
            return said if 'Traceback' in said else said.splitlines()[-1]
    raise AssertionError('training came to an end')


@contextlib.contextmanager
def _tool(train: ModuleType, cfg: Config) -> Iterator[None]:
    """Have the tool read a config, and stop before the first step."""
    load, build = cli.load_config, train.build_runner

    def build_stopped(*args: Any) -> Any:
        runner = build(*args)
        runner.register_hook(StopHook(), 'LOWEST')
        return runner

    cli.load_config, train.build_runner = (lambda *args: cfg), build_stopped
    try:
        yield
    finally:
        cli.load_config, train.build_runner = load, build


@contextlib.contextmanager
def _limits() -> Iterator[None]:
    """What is too large is refused here as it would be elsewhere, and nothing runs for ever."""

    def late(*args: Any) -> None:
        raise TimeoutError(f'not built after {SECONDS} s of computing')

    # mmengine collects garbage for each data set: half a second over all that is loaded.
    gc.freeze()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    handler = signal.signal(signal.SIGPROF, late)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, limits[1]))
    # Of the processor, not of the clock: beside other programs a right config takes longer.
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, handler)
        resource.setrlimit(resource.RLIMIT_AS, limits)
        gc.unfreeze()


@contextlib.contextmanager
def _silence(errors: io.StringIO) -> Iterator[None]:
    """Keep the output from the terminal, and the errors."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        yield
