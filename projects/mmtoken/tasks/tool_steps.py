"""``tools/train.py`` and ``tools/test.py`` as steps of a task, and what they leave behind."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from mmtoken.errors import UserError
from mmtoken.runtime.resuming.checkpoints import latest_checkpoint
from mmtoken.runtime.safe_loading import load_from_file
from mmtoken.tasks.task import Step
from mmtoken.weights import weights_of

STACK = ('torch', 'mmengine', 'mmcv', 'mmpretrain', 'mmdet', 'mmsegmentation')
ONEDL = {name: f'onedl-{name}' for name in STACK} | {'mmdet': 'onedl-mmdetection'}


def train_step(
    tools: Path,
    config: str,
    folder: Path,
    cfg: Config,
    flags: Sequence[str] = (),
    prepare: Callable[[], object] = lambda: None,
    weight: float = 1.0,
    processes: int = 1,
) -> Step:
    """Train from where an interrupted training stopped, or from the start.

    Args:
        tools: Folder of ``train.py``.
        config: Config file.
        folder: The task's folder, which is also the work dir.
        cfg: The config as it will run; only its number of epochs is read.
        flags: Further flags of ``tools/train.py``.
        prepare: Called just before the command is made, for example to write ``config``.
        weight: Expected cost, relative to the task's other steps.
        processes: How many train side by side, each with a batch of its own, as
            ``tools/dist_train.sh`` starts them.

    Returns:
        The step ``train``.
    """

    def argv() -> list[str]:
        prepare()
        command = script(tools / 'train.py')
        launcher = []
        if processes > 1:
            torchrun = ['-m', 'torch.distributed.run', '--standalone']
            command[1:1] = [*torchrun, f'--nproc_per_node={processes}']
            launcher = ['--launcher', 'pytorch']
        command += [config, '--work-dir', str(folder), '--resume', 'auto']
        return [*command, *launcher, *flags]

    return Step('train', argv, weight, cfg.train_cfg.get('max_epochs', 1))


def test_step(
    tools: Path,
    config: str,
    folder: Path,
    flags: Sequence[str] = (),
    out: Path | None = None,
    weight: float = 0.1,
) -> Step:
    """Test the last checkpoint of a training, not its best one.

    Args:
        tools: Folder of ``test.py``.
        config: Config file.
        folder: The task's folder, in which the training ran.
        flags: Further flags of ``tools/test.py``.
        out: Where ``tools/test.py --out`` writes predictions.
        weight: Expected cost, relative to the task's other steps.

    Returns:
        The step ``test``.
    """

    def argv() -> list[str]:
        checkpoint = str(last_checkpoint(folder))
        command = [*script(tools / 'test.py'), config, checkpoint]
        command += ['--work-dir', str(folder / 'test')]
        return [*command, *(['--out', str(out)] if out else []), *flags]

    return Step('test', argv, weight)


def last_checkpoint(folder: Path) -> Path | str:
    """The checkpoint a finished training recorded last.

    Args:
        folder: The work dir.

    Returns:
        Its path or address.

    Raises:
        UserError: If no checkpoint was recorded.
    """
    checkpoint = latest_checkpoint(folder)
    if checkpoint is None:
        raise UserError(
            f'{folder} has no last_checkpoint, so there is nothing to test; '
            'the checkpoint hook of the config must save the last epoch'
        )
    return checkpoint


def test_metrics(folder: Path) -> dict[str, float]:
    """The metrics that the step ``test`` wrote last.

    Args:
        folder: The task's folder.

    Returns:
        Metric names, as the library writes them, and values.

    Raises:
        UserError: If no test has written any.
    """
    files = sorted((folder / 'test').glob('*/*.json'))
    if not files:
        raise UserError(f'{folder / "test"} holds no metrics; see {folder / "test.log"}')
    return json.loads(files[-1].read_text())


def trained_iterations(checkpoint: Path) -> int:
    """Iterations that a checkpoint of one of our own runs was trained for.

    Args:
        checkpoint: The file.

    Returns:
        The number of optimizer iterations.
    """
    return int(_content(checkpoint)['meta']['iter'])


def export_weights(checkpoint: Path, path: Path) -> None:
    """Write a checkpoint's weights alone, without the optimizer and mmengine's log buffers.

    Args:
        checkpoint: A checkpoint of one of our own runs.
        path: The file to write.
    """
    torch.save({'state_dict': weights_of(_content(checkpoint))}, path)


def _content(checkpoint: Path) -> dict[str, Any]:
    """What a checkpoint holds, read on any machine: a training's tensors are those of its GPU."""
    return load_from_file(str(checkpoint), map_location='cpu')


def environment() -> dict[str, Any]:
    """What a reported number depends on beside its config.

    Returns:
        Versions of Python and of the stack's distributions, the processor, the git commit.
    """
    versions = {'python': platform.python_version()}
    for name in STACK:
        for distribution in (name, ONEDL[name]):
            try:
                versions[distribution] = metadata.version(distribution)
            except metadata.PackageNotFoundError:
                continue
    return {'versions': versions, 'processor': processor_name(), 'commit': git_commit()}


def processor_name() -> str:
    """Model name of the CPU, as far as the system tells it."""
    info = Path('/proc/cpuinfo')
    for line in info.read_text().splitlines() if info.exists() else ():
        if line.startswith('model name'):
            return line.split(':', 1)[1].strip()
    return platform.processor() or platform.machine()


def git_commit() -> str | None:
    """The checked-out commit, ``+`` behind it when files differ; None outside a repository."""
    root = Path(__file__).parent
    try:
        git = ['git', '-C', str(root)]
        commit = subprocess.check_output([*git, 'rev-parse', '--short=12', 'HEAD'], text=True)
        changed = subprocess.check_output([*git, 'status', '--porcelain', '-uno'], text=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit.strip() + ('+' if changed.strip() else '')


def script(path: Path) -> list[str]:
    """The start of a command that runs a Python script.

    Args:
        path: The script.

    Returns:
        This interpreter and the script, relative to the current folder.
    """
    return [sys.executable, os.path.relpath(path)]
