"""The text of a run's config, made once.

mmengine formats the whole config anew for every checkpoint (0.7 s for a Mask R-CNN), which would
be most of what a save in the background keeps training from. Our design.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.config import Config


class ConfigText:
    """Remembers the text of a config for as long as the config is the same."""

    def __init__(self) -> None:
        self._key: str | None = None
        self._text = ''

    @contextmanager
    def remembered(self, cfg: Config) -> Iterator[None]:
        """Answer `cfg.pretty_text` from memory.

        Args:
            cfg: The run's config.
        """
        key = repr(cfg._cfg_dict)
        if key != self._key:
            self._key, self._text = key, cfg.pretty_text
        original = Config.pretty_text

        def text(config: Config) -> str:
            return self._text if config is cfg else original.fget(config)

        Config.pretty_text = property(text)
        try:
            yield
        finally:
            Config.pretty_text = original
