"""What is to be done when a run saves a checkpoint, and in which order."""

from dataclasses import dataclass
from os.path import abspath, splitext
from pathlib import Path
from typing import Any

from mmengine.dist import get_rank

from mmtoken.errors import UserError
from mmtoken.runtime.resuming.checkpoints import record_checkpoint
from mmtoken.runtime.saving.atomic_saving import write_checkpoint
from mmtoken.runtime.saving.safetensors_files import write_safetensors


class Removals:
    """Stands in for mmengine's file backend: what would be removed is noted.

    Args:
        backend: The backend.
        weights: Whether the `.safetensors` beside a checkpoint is removed with it.
    """

    def __init__(self, backend: Any, weights: bool) -> None:
        self.backend = backend
        self.weights = weights
        self.paths: list[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def isfile(self, path: str) -> bool:
        """Yes: it may be there when it is its turn."""
        return True

    def remove(self, path: str) -> None:
        """Note a path."""
        self.paths.append(path)
        if self.weights:
            self.paths.append(f'{splitext(path)[0]}.safetensors')

    def carry_out(self, keep: set[str]) -> None:
        """Remove the files, or folders, that are there.

        Args:
            keep: Absolute paths not to remove.
        """
        for path in self.paths:
            if abspath(path) in keep:
                continue
            if self.backend.isfile(path):
                self.backend.remove(path)
            elif self.backend.isdir(path):
                self.backend.rmtree(path)


@dataclass
class SaveJob:
    """Files to write, then a record to make, then files to remove. Our design.

    Args:
        saves: What to write, by its path.
        removals: What it replaces.
        work_dir: Where the checkpoint is recorded.
        pointer: What is recorded; nothing without it.
        weights: Those of the paths whose weights are written as `.safetensors`, too.
    """

    saves: dict[Path, Any]
    removals: Removals
    work_dir: Path | None = None
    pointer: str | None = None
    weights: tuple[Path, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.saves or self.pointer or self.removals.paths)

    def add_weights(self, best_only: bool) -> None:
        """Write the weights of checkpoints as `.safetensors`, too.

        Args:
            best_only: Whether only those of best checkpoints.
        """
        if is_part_of_folder(self.saves):
            raise UserError(
                'safetensors=True needs the weights of a model in one place, and this run saves '
                "those of each process apart; set the strategy's state_dict_cfg='full', or leave "
                'out safetensors'
            )
        self.weights = tuple(
            path for path in self.saves if path.name.startswith('best_') or not best_only
        )

    def write(self) -> None:
        """Write the files.

        Raises:
            UserError: If one cannot be written.
        """
        for path, checkpoint in self.saves.items():
            write_checkpoint(checkpoint, path)
            if path in self.weights:
                write_safetensors(checkpoint['state_dict'], path.with_suffix('.safetensors'))

    def finish(self) -> None:
        """Record the checkpoint, and remove what it replaces.

        Raises:
            UserError: If it cannot be recorded.
        """
        if self.pointer is not None:
            record_checkpoint(self.work_dir, self.pointer)
        written = {place for path in self.saves for place in (path, path.parent)}
        written |= {path.with_suffix('.safetensors') for path in self.weights}
        self.removals.carry_out(keep={abspath(path) for path in written})


def is_part_of_folder(saves: dict[Path, Any]) -> bool:
    """Whether these are the files of one of several processes, as of sharded FSDP."""
    return any(path.name == f'rank{get_rank()}.pth' for path in saves)
