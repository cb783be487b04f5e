"""What mmengine's runner takes together or not at all."""

import pytest
from small_configs import small_config

from mmtoken.config_check.check import check_config
from mmtoken.config_check.together import together_problems
from mmtoken.errors import UserError

WHOLE = dict(val_evaluator=dict(type='Accuracy'), val_cfg={}, test_cfg=None)


@pytest.mark.parametrize(
    ('missing', 'said'),
    [
        ([], []),
        (['val_cfg'], ['val_cfg is missing, and val_dataloader and val_evaluator are there; add ']),
        (['val_evaluator', 'val_cfg'], ['val_cfg is missing, and val_dataloader is there; add it']),
        (
            ['optim_wrapper'],
            ['optim_wrapper is missing, and train_dataloader and train_cfg are th'],
        ),
        (['val_dataloader', 'val_cfg', 'val_evaluator'], []),
    ],
)
def test_what_lacks_one_of_three_is_refused(missing, said):
    content = small_config('mmpretrain', WHOLE).to_dict()
    for key in missing:
        del content[key]

    found = [problem.text for problem in together_problems(content)]

    assert [text[: len(start)] for text, start in zip(found, said, strict=True)] == said


def test_tools_that_run_nothing_do_not_mind():
    cfg = small_config('mmpretrain', WHOLE | {'train_dataloader': None})

    check_config(cfg, ('model', 'val_dataloader'))
    with pytest.raises(UserError, match='train_dataloader is missing, and train_cfg and optim_wr'):
        check_config(cfg, ('model', 'val_dataloader', 'val_cfg'))
