"""What a config's parts refuse while a run is built is told by a sentence that names the part."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from mmengine.config import Config

from mmtoken.config_check.blame import blamed_part
from mmtoken.errors import UserError, named_reason
from mmtoken.runtime.failures import keep_traceback

# What the machine refuses, and no part of a config.
_MACHINE = re.compile(r'CUDA|NCCL|NVIDIA|EADDRINUSE|already in use|Connection (closed|reset)')
# Where hooks look at their settings.
STARTS = ('before_run', 'before_train')
# What mmengine's runner builds when it starts to train or to test.
BUILDERS = (
    'build_train_loop',
    'build_val_loop',
    'build_test_loop',
    'build_optim_wrapper',
    'build_param_scheduler',
    'scale_lr',
    '_init_model_weights',
)


@contextmanager
def blame_parts(cfg: Config) -> Iterator[None]:
    """Name the part of a config that cannot be built; the log file keeps the traceback.

    Args:
        cfg: The config that is built.

    Raises:
        UserError: In place of what a part raises.
    """
    # Builders take keys out of what they build.
    content = cfg.to_dict()
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # A part is any code.
        part = blamed_part(error, content)
        if part is None or _MACHINE.search(str(error)):
            raise
        raise UserError(
            f'config {cfg.filename}: {part} cannot be built ({named_reason(error)}); '
            f'correct it{keep_traceback(error)}'
        ) from error


class BlamingRunner:
    """Mixed into a runner: what it builds late is blamed like what it builds early."""

    def call_hook(self, fn_name: str, **kwargs: Any) -> None:
        """Call the hooks; before training, what they raise is their settings' fault."""
        with blame_parts(self.cfg) if fn_name in STARTS else nullcontext():
            super().call_hook(fn_name, **kwargs)


def _blaming(name: str) -> Callable:
    """A builder that blames."""

    def build(self: Any, *args: Any, **kwargs: Any) -> Any:
        with blame_parts(self.cfg):
            return getattr(super(BlamingRunner, self), name)(*args, **kwargs)

    return build


for _name in BUILDERS:
    setattr(BlamingRunner, _name, _blaming(_name))
