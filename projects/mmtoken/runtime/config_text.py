"""The text of a config, made once.

mmengine formats a run's whole config four times before the first step, and again for every
checkpoint: 0.3 s each for a small classifier, 0.7 s for a Mask R-CNN. `import mmtoken` has the
process remember the text for as long as the config is the same. Our design.
"""

from mmengine.config import Config

# Texts by what they are of; a run has one config, and a program few at a time.
_KEPT = 4
_texts: dict[tuple[str, bool], str] = {}
_make = Config.pretty_text.fget


def install_config_text() -> None:
    """Have `Config.pretty_text` answer from memory."""
    Config.pretty_text = property(config_text, doc=_make.__doc__)


def config_text(cfg: Config) -> str:
    """A config as formatted Python.

    Args:
        cfg: The config.

    Returns:
        What mmengine makes of it.
    """
    key = repr(cfg._cfg_dict), cfg._format_python_code
    if key not in _texts:
        text = _make(cfg)
        if len(_texts) == _KEPT:
            del _texts[next(iter(_texts))]
        _texts[key] = text
    return _texts[key]
