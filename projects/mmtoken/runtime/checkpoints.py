"""Which checkpoint a run goes on from, and whether this machine can train as the config asks."""

from pathlib import Path

from mmengine.config import Config
from mmengine.device import get_device

from mmtoken.errors import UserError


def latest_checkpoint(work_dir: Path) -> Path | None:
    """Find the checkpoint that a run recorded last.

    mmengine records an absolute path, which is wrong once the folder was moved or mounted
    elsewhere; the file of the same name in the folder is then the one.

    Args:
        work_dir: The run's folder.

    Returns:
        The checkpoint, or None where none was recorded.

    Raises:
        UserError: If the recorded checkpoint is gone.
    """
    record = work_dir / 'last_checkpoint'
    if not record.is_file():
        return None
    recorded = Path(record.read_text().strip())
    for path in (recorded, work_dir / recorded.name):
        if path.exists():
            return path
    raise UserError(
        f'{record} names the checkpoint {str(recorded)!r}, which does not exist; '
        'name another one with --resume PATH, or delete the record to start from the beginning'
    )


def check_device_for_amp(cfg: Config) -> None:
    """Refuse mixed-precision training where mmengine has no device for it.

    Args:
        cfg: The config.

    Raises:
        UserError: If the optimizer wrapper is the mixed-precision one and only a CPU is there.
    """
    wrapper = cfg.get('optim_wrapper') or {}
    if wrapper.get('type') == 'AmpOptimWrapper' and get_device() in ('cpu', 'mps'):
        raise UserError(
            f'mixed-precision training (AmpOptimWrapper) does not work on {get_device()!r}; '
            'leave out --amp, or set optim_wrapper.type=OptimWrapper with --cfg-options'
        )
