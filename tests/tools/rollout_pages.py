"""The models that the roll-out tool's tests use, and what its page holds."""

import json
import re
from pathlib import Path

REPO = Path(__file__).parents[2]
CONFIGS = {
    'segmentor': 'upernet_life-d6w96_digits-seg',
    'detector': 'mask-rcnn_life-d6w96_digits-det',
    'classifier': 'life-d6w96_digits-cls',
}


def config_of(kind):
    """The config file of a kind of model."""
    return REPO / 'configs' / 'digits' / f'{CONFIGS[kind]}.py'


def page_data(folder):
    text = (folder / 'index.html').read_text()
    return text, json.loads(re.search(r'const DATA = (.*);\n', text)[1])
