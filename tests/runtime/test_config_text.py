"""The text of a config is made once, and is mmengine's."""

import pytest
from mmengine.config import Config

from mmtoken.runtime import config_text


@pytest.fixture
def made(monkeypatch) -> list[Config]:
    """The configs whose text mmengine made from here on."""
    configs = []
    make = config_text._make
    monkeypatch.setattr(config_text, '_make', lambda cfg: configs.append(cfg) or make(cfg))
    monkeypatch.setattr(config_text, '_texts', {})
    return configs


def test_the_text_of_a_config_is_made_once(made):
    cfg = Config(dict(model=dict(size=1)))
    assert (
        cfg.pretty_text == Config(dict(model=dict(size=1))).pretty_text == 'model = dict(size=1)\n'
    )
    assert len(made) == 1


def test_it_is_made_again_when_the_config_changes(made):
    cfg = Config(dict(size=1))
    cfg.pretty_text  # noqa: B018
    cfg.size = 2
    assert cfg.pretty_text == 'size = 2\n' and len(made) == 2


def test_text_that_is_not_to_be_formatted_is_not(made):
    options = dict(value=[[1, 2]])
    plain = Config(options, format_python_code=False)
    assert plain.pretty_text != Config(options).pretty_text


def test_few_texts_are_kept(made):
    for size in [*range(config_text._KEPT + 1), 0]:
        Config(dict(size=size)).pretty_text  # noqa: B018
    assert len(made) == config_text._KEPT + 2 and len(config_text._texts) == config_text._KEPT
