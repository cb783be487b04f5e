"""Detectors and segmentors start from mmpretrain's public DeiT weights, as the cards show."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import mmpretrain
import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmpretrain import get_model

from mmtoken.vit.pretrained import compare_state

ROOT = Path(__file__).resolve().parents[2]
INDEX = Path(mmpretrain.__file__).parent / '.mim' / 'configs' / 'deit' / 'metafile.yml'
PUBLISHED = {
    urlsplit(entry['Weights']).path: entry
    for entry in yaml.safe_load(INDEX.read_text(encoding='utf-8'))['Models']
}
CARD = (ROOT / 'configs' / 'deit' / 'README.md').read_text(encoding='utf-8')
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'configs').glob('*/README.md'))]
ADDRESSES = {
    address: page.read_text(encoding='utf-8')
    for page in PAGES
    for address in re.findall(r'https://[\w./-]+\.pth', page.read_text(encoding='utf-8'))
}


@pytest.fixture(scope='module')
def public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What stands at the address: a classifier of mmpretrain's DeiT-T, here with random weights."""
    path = tmp_path_factory.mktemp('public') / 'deit-tiny.pth'
    torch.save(dict(meta={}, state_dict=get_model('deit-tiny_4xb256_in1k').state_dict()), path)
    return path


def build(text: str, folder: Path) -> torch.nn.Module:
    """Build and initialize the model of a config's text."""
    (folder / 'mine.py').write_text(text)
    config = Config.fromfile(folder / 'mine.py')
    with DefaultScope.overwrite_default_scope(config.default_scope):
        model = MODELS.build(config.model)
        model.backbone.init_weights()
    return model


@pytest.mark.parametrize('address', ADDRESSES)
def test_address_is_that_of_the_installed_index(address: str):
    published = PUBLISHED[urlsplit(address).path]['Weights']

    # The distributions keep the same files on hosts of their own, and the page names the other.
    other_host = f'`https://{urlsplit(published).netloc}`'
    assert address == published or other_host in ADDRESSES[address]


@pytest.mark.parametrize('size', ['tiny', 'small', 'base'])
def test_table_has_the_accuracy_of_the_installed_index(size: str):
    accuracy, address = re.search(rf'\| ([\d.]+) \| `(\S+/deit-{size}_pt\S+)` \|', CARD).groups()

    (result,) = PUBLISHED[urlsplit(address).path]['Results']
    assert float(accuracy) == result['Metrics']['Top 1 Accuracy']


@pytest.mark.parametrize(
    'leaf', ['mask-rcnn_deit-tiny_sfp_1x_coco', 'deit-tiny_upernet_8xb2-160k_ade20k-512x512']
)
def test_config_of_the_card_loads_every_parameter(leaf: str, public: Path, tmp_path: Path):
    (text,) = re.findall(r'```python\n(_base_ .*?)```', CARD, re.DOTALL)
    text = text.replace('mask-rcnn_deit-tiny_sfp_1x_coco', leaf)

    backbone = build(re.sub(r'https://\S+\.pth', str(public), text), tmp_path).backbone

    state = torch.load(public)['state_dict']
    loaded = {name: state[f'backbone.{name}'] for name in backbone.state_dict()}
    differing = [n for n, value in backbone.state_dict().items() if not loaded[n].equal(value)]
    assert len(loaded) == sum(name.startswith('backbone.') for name in state)
    # The segmentor's image is larger, and with it the grid of its positions.
    assert differing == ([] if 'coco' in leaf else ['pos_embed'])


@pytest.mark.parametrize('name', ['deit-small_4xb256_in1k', 'deit-base_16xb64_in1k'])
def test_larger_models_have_the_parameters_of_ours(name: str):
    with torch.device('meta'):
        theirs = get_model(name).backbone
        ours = MODELS.build(
            dict(type='mmpretrain.TokenViT', arch=name.split('_')[0], out_type='featmap')
        )

    assert compare_state(ours, theirs.state_dict()).complete
