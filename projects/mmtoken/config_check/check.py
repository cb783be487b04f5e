"""Find what is wrong with a config before anything is built from it."""

import itertools
from collections.abc import Iterator, Sequence

from mmengine.config import Config

from mmtoken.config_check.annotations import annotation_problems
from mmtoken.config_check.classes import class_count_problems, topk_problems
from mmtoken.config_check.lora import lora_problems
from mmtoken.config_check.mode import report
from mmtoken.config_check.model_cfg import model_cfg_problems
from mmtoken.config_check.names import wrong_keys
from mmtoken.config_check.necks import neck_problems
from mmtoken.config_check.problem import Problem
from mmtoken.config_check.sources import source_files
from mmtoken.config_check.together import together_problems
from mmtoken.config_check.token_labels import token_label_problems
from mmtoken.config_check.trial import own_part_problems, schedule_problems
from mmtoken.config_check.untyped_keys import (
    dataset_key_problems,
    launch_key_problems,
    optimizer_key_problems,
)
from mmtoken.config_check.values import value_problems
from mmtoken.config_check.variables import doubled_keys, unread_variables, vain_variables
from mmtoken.config_check.weights import loose_weights
from mmtoken.config_check.windows import window_problems
from mmtoken.config_check.words import word_problems
from mmtoken.errors import UserError

# What looks at values alone; each takes the config as a dict, and its default scope.
FINDERS = (
    loose_weights,
    wrong_keys,
    dataset_key_problems,
    launch_key_problems,
    optimizer_key_problems,
    model_cfg_problems,
    value_problems,
    word_problems,
    schedule_problems,
    own_part_problems,
    neck_problems,
    window_problems,
    lora_problems,
)
# What holds the model against the data.
DATA_FINDERS = (annotation_problems, class_count_problems, topk_problems, token_label_problems)


def check_config(cfg: Config, needs: Sequence[str] = (), mode: str | None = None) -> None:
    """Refuse a config with a key or type that nothing would read.

    Args:
        cfg: The config.
        needs: Top-level keys that the tool cannot do without, whatever the mode. A tool that needs
            no model or no data does not mind whether they fit together.
        mode: As for ``mmtoken.config_check.mode.check_mode``.

    Raises:
        UserError: For the first fault, with what may have been meant.
    """
    together = 'model' in needs and any(name.endswith('_dataloader') for name in needs)
    found = find_problems(cfg, with_data=together or not needs)
    runs = any(name.endswith('_cfg') for name in needs)
    apart = together_problems(cfg.to_dict()) if runs else ()
    report(itertools.chain(found, apart), mode, f'config {cfg.filename}: ')
    for name in needs:
        if cfg.get(name) is None:
            raise UserError(
                f'config {cfg.filename}: {name} is missing, and this tool needs it; add it or '
                'inherit a base that has it'
            )


def find_problems(cfg: Config, with_data: bool = True) -> Iterator[Problem]:
    """Find every fault of a config.

    Args:
        cfg: The config.
        with_data: Whether the model is held against the data, too.

    Yields:
        The faults.
    """
    content, files = cfg.to_dict(), source_files(cfg)
    scope = content.get('default_scope') or 'mmengine'
    for find_in_text in (unread_variables, vain_variables, doubled_keys):
        yield from find_in_text(content, files)
    for find in (*FINDERS, *(DATA_FINDERS if with_data else ())):
        yield from find(content, scope)
