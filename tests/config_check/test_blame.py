"""What a config's part refuses while a run is built is told with its key."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import initialize
from mmengine.registry import HOOKS, MODELS
from torch import nn

from mmtoken.config_check.blame import blamed_part
from mmtoken.errors import UserError
from mmtoken.runtime.building import BlamingRunner, blame_parts


@MODELS.register_module()
class Fussy(nn.Module):
    """Refuses one word, and builds what is in it."""

    def __init__(self, word: str = '', inner: dict | None = None, gone: int = 0) -> None:
        super().__init__()
        if word == 'bad':
            raise ValueError('of two\nlines')
        if word == 'long':
            raise ValueError('first ' + '0.5 ' * 10_000 + 'last')
        if word == 'full':
            raise RuntimeError('CUDA out of memory')
        if inner:
            inner.pop('gone', None)
            MODELS.build(inner)


@HOOKS.register_module()
class FussyHook(Hook):
    """Refuses to start."""

    def before_train(self, runner) -> None:
        raise TypeError('not so')


def blamed(content: dict, build: dict) -> str | None:
    """The part that is blamed when one is built."""
    try:
        MODELS.build(build)
    except ValueError as error:
        return blamed_part(error, content)
    raise AssertionError('built')


def test_the_innermost_part_is_named():
    inner = dict(type='mmengine.Fussy', word='bad', gone=1)
    content = dict(model=dict(type='Fussy', inner=dict(inner, type='Fussy')))

    assert blamed(content, dict(type='Fussy', inner=inner)) == 'model.inner'


def test_the_one_that_has_most_in_common_is_named():
    parts = [dict(type='Fussy', word='good', gone=2), dict(type='Fussy', word='bad', gone=2)]

    assert blamed(dict(model=dict(parts=parts)), parts[1]) == 'model.parts.1'


def test_settings_without_a_type_are_found_by_what_they_say():
    given = dict(word='bad', gone=4)
    content = dict(other=dict(word='bad'), data_preprocessor=given)

    assert blamed(content, dict(given, type='Fussy')) == 'data_preprocessor'


def test_what_is_not_in_the_config_is_not_named():
    assert blamed(dict(model=dict(type='Other')), dict(type='Fussy', word='bad')) is None


def test_the_sentence_names_config_part_and_reason():
    cfg = Config(dict(model=dict(type='Fussy', word='bad')))

    with pytest.raises(UserError) as info, blame_parts(cfg):
        MODELS.build(cfg.model)

    assert str(info.value).startswith('config None: model cannot be built (ValueError: ')
    assert 'of two lines); correct it' in str(info.value)


@pytest.mark.parametrize(
    'error', [UserError('a sentence'), RuntimeError('CUDA error'), ValueError('of no part')]
)
def test_what_is_no_parts_fault_stays_as_it_is(error):
    with pytest.raises(type(error)) as info, blame_parts(Config(dict(model=dict(type='Fussy')))):
        raise error

    assert info.value is error


def test_what_the_machine_refuses_is_no_parts_fault():
    cfg = Config(dict(model=dict(type='Fussy', word='full')))

    with pytest.raises(RuntimeError, match='CUDA out of memory'), blame_parts(cfg):
        MODELS.build(cfg.model)


class Runner:
    """As much of a runner as calls hooks and builds a loop."""

    def __init__(self, **content) -> None:
        self.cfg = Config(content)

    def build_train_loop(self, settings: dict) -> None:
        raise TypeError(f'unexpected {settings}')

    def call_hook(self, fn_name: str) -> None:
        hook = FussyHook()
        getattr(hook, fn_name)(self)


class Blaming(BlamingRunner, Runner):
    """The same, with the mixin."""


def test_what_the_runner_builds_late_is_named_too():
    with pytest.raises(UserError, match='train_cfg cannot be built .TypeError: unexpected'):
        Blaming(train_cfg=dict(by_epoch=True)).build_train_loop(dict(a=1))


def test_a_hook_that_cannot_start_is_named():
    runner = Blaming(custom_hooks=[dict(type='EMAHook'), dict(type='FussyHook')])

    with pytest.raises(UserError, match='custom_hooks.1 cannot be built .TypeError: not so'):
        runner.call_hook('before_train')


def test_the_tool_says_it_and_the_log_keeps_the_traceback(
    load_tool, capsys, tmp_path, digit_scenes
):
    root = digit_scenes / 'classification'
    options = [f'{name}_dataloader.dataset.data_root={root}' for name in ('train', 'val')]
    options += ['data_preprocessor.std=[1,2,x]', 'experiment_name=blamed']
    words = ['configs/digits/deit-d6w96_digits-cls.py', '--work-dir', str(tmp_path)]

    with pytest.raises(SystemExit) as exit_:
        load_tool('train.py').main([*words, '--cfg-options', *options])

    assert exit_.value.code == 2
    assert ': data_preprocessor cannot be built (TypeError: ' in capsys.readouterr().err
    (log,) = Path(tmp_path).glob('*/*.log')
    assert 'Traceback (most recent call last)' in log.read_text()


def test_what_a_library_prints_at_length_is_cut():
    content = dict(model=dict(type='Fussy', word='long'))

    with pytest.raises(UserError) as error, blame_parts(Config(content)):
        MODELS.build(content['model'])

    said = str(error.value)
    assert 'model cannot be built (ValueError: first 0.5 0.5' in said and '0.5 last); corr' in said
    assert said.count('0.5') < 75


def test_a_way_of_initialization_that_fails_when_it_is_used_is_named():
    layer = dict(type='Constant', val=0.0, layer=[[1, 'a']])
    init_cfg = [dict(type='Constant', val=0.0, layer='Linear'), layer]
    content = dict(model=dict(type='Fussy', init_cfg=init_cfg))

    named = pytest.raises(UserError, match=r'model\.init_cfg\.1 cannot be built')
    with named, blame_parts(Config(content)):
        initialize(nn.Linear(2, 2), init_cfg)
