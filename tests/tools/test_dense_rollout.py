"""tools/visualization/dense_rollout.py: its pictures, and its page in a browser."""

import base64
import json
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS, init_default_scope
from PIL import Image

from mmtoken.errors import UserError
from mmtoken.rollout import TokenSet, roll_back

REPO = Path(__file__).parents[2]
CONFIGS = {
    'segmentor': 'upernet_life-d6w96_digits-seg',
    'detector': 'mask-rcnn_life-d6w96_digits-det',
    'classifier': 'life-d6w96_digits-cls',
}
OPTIONS = ['--cfg-options', 'model.backbone.init_cfg=None']


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    """Two images: one of the models' size, and one that is not square."""
    folder = tmp_path_factory.mktemp('scenes')
    for name, shape in (('scene', (128, 128, 3)), ('wide', (96, 128, 3))):
        pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f'{name}.png')
    return folder


@pytest.fixture(scope='module')
def rolled_out(load_tool, scenes, tmp_path_factory):
    """A function that runs the tool once a kind of model, on random weights."""
    sys.path.insert(0, str(REPO / 'tools' / 'visualization'))
    folders = {}

    def run(kind):
        if kind not in folders:
            out = folders[kind] = tmp_path_factory.mktemp(kind)
            config = REPO / 'configs' / 'digits' / f'{CONFIGS[kind]}.py'
            checkpoint = save_random_weights(config, out / 'random.pth')
            images = [str(scenes / 'scene.png'), str(scenes / 'wide.png')]
            words = [str(config), str(checkpoint), *images, '--out', str(out), *OPTIONS]
            load_tool('visualization/dense_rollout.py').main([*words, *extra(kind)])
        return folders[kind]

    yield run
    sys.path.remove(str(REPO / 'tools' / 'visualization'))


def extra(kind):
    return ['model.test_cfg.rcnn.max_per_img=4', '--score-threshold', '0'] * (kind == 'detector')


def save_random_weights(config, path):
    cfg = Config.fromfile(config)
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    for layer in model.backbone.layers:
        for parameter in layer.attn.qkv.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    torch.save({'state_dict': model.state_dict()}, path)
    return path


def page_data(folder):
    text = (folder / 'index.html').read_text()
    return text, json.loads(re.search(r'const DATA = (.*);\n', text)[1])


@pytest.mark.parametrize('kind', CONFIGS)
def test_a_picture_a_class_is_written(rolled_out, kind):
    folder = rolled_out(kind)

    _, data = page_data(folder)
    for entry in data['images']:
        stem = Path(entry['name']).stem
        expected = {f'{stem}_{found["name"]}.png' for found in entry['classes']}
        assert {path.name for path in folder.glob(f'{stem}_*.png')} == expected
        assert expected
    picture = Image.open(next(folder.glob('wide_*.png')))
    assert min(picture.size) >= 320


@pytest.mark.parametrize('kind', CONFIGS)
def test_the_page_needs_nothing_else(rolled_out, kind):
    text, _ = page_data(rolled_out(kind))

    assert not re.findall(r'(?:src|href)\s*=\s*"', text)
    assert not re.findall(r'https?:|@import|url\(|fetch\(|import\(', text)


def test_the_page_has_a_map_of_every_token_class_and_instance_at_every_layer(rolled_out):
    _, data = page_data(rolled_out('detector'))

    scene, wide = data['images']
    assert (scene['grid'], wide['grid']) == ([16, 16], [12, 16])
    assert len(base64.b64decode(scene['rows'])) == 6 * 256 * 256
    assert scene['instances']
    for found in [*scene['classes'], *scene['instances']]:
        assert len(base64.b64decode(found['maps'])) == 6 * 256


def test_what_the_page_shows_of_a_token_is_its_row_of_the_rollout(load_tool, rolled_out, scenes):
    folder = rolled_out('segmentor')
    tool = load_tool('visualization/dense_rollout.py')
    cfg = Config.fromfile(REPO / 'configs' / 'digits' / f'{CONFIGS["segmentor"]}.py')
    model = tool.load_model(cfg, str(folder / 'random.pth'))
    taken = tool.capture(model, tool.load_image(cfg, scenes / 'scene.png'))

    _, data = page_data(folder)

    rows = np.frombuffer(base64.b64decode(data['images'][0]['rows']), np.uint8)
    unit = torch.zeros(1, 257)
    unit[0, 1 + 40] = 1.0
    expected = roll_back(taken.steps[:3], unit)[0, 1:]
    scale = torch.cat([expected[:40], expected[41:]]).max()
    scaled = (expected / scale * 255).clamp(max=255)
    found = rows.reshape(6, 256, 256)[2, 40].astype(float)
    assert np.abs(found - scaled.numpy()).max() <= 1


def test_large_grids_are_pooled(load_tool, rolled_out, scenes, monkeypatch):
    rolled_out('segmentor')
    page, tool = sys.modules['dense_rollout_page'], load_tool('visualization/dense_rollout.py')
    monkeypatch.setattr(page, 'ROW_BYTES', 6 * 64**2)
    cfg = Config.fromfile(REPO / 'configs' / 'digits' / f'{CONFIGS["segmentor"]}.py')
    model = tool.load_model(cfg, str(rolled_out('segmentor') / 'random.pth'))
    taken = tool.capture(model, tool.load_image(cfg, scenes / 'scene.png'))

    entry = page.image_entry('scene', taken, [], [], [])

    assert (entry['grid'], entry['pool'], entry['token']) == ((8, 8), 2, [16.0, 16.0])
    assert len(base64.b64decode(entry['rows'])) == 6 * 64 * 64


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(image='none.png'), "none.png' cannot be read"),
        (dict(checkpoint='none.pth'), 'none.pth does not exist'),
        (dict(words=['--classes', 'zebra']), "class 'zebra' is not one of the model"),
        (dict(words=['--classes', 'zebra'], image='none.png'), "class 'zebra' is not one"),
    ],
)
def test_bad_input_is_answered_by_one_sentence_and_exit_code_2(
    load_tool, rolled_out, scenes, tmp_path, capsys, change, message
):
    folder = rolled_out('classifier')
    config = REPO / 'configs' / 'digits' / f'{CONFIGS["classifier"]}.py'
    checkpoint = change.get('checkpoint', str(folder / 'random.pth'))
    image = change.get('image', str(scenes / 'scene.png'))
    words = [str(config), checkpoint, image, '--out', str(tmp_path), *change.get('words', ())]
    capsys.readouterr()

    with pytest.raises(SystemExit) as exit_:
        load_tool('visualization/dense_rollout.py').main(words)

    assert exit_.value.code == 2
    assert message in capsys.readouterr().err


def run_segmentor(load_tool, rolled_out, out, images, *words):
    config = REPO / 'configs' / 'digits' / f'{CONFIGS["segmentor"]}.py'
    checkpoint = rolled_out('segmentor') / 'random.pth'
    words = [str(config), str(checkpoint), *map(str, images), '--out', str(out), *words]
    load_tool('visualization/dense_rollout.py').main(words)


@pytest.mark.parametrize('ending', ['ico', 'tga', 'pcx', 'txt', 'png'])
def test_files_that_the_loader_cannot_read_are_named(
    load_tool, rolled_out, tmp_path, capsys, ending
):
    path = tmp_path / f'image.{ending}'
    if ending in ('ico', 'tga', 'pcx'):
        Image.new('RGB', (32, 32)).save(path)
    else:
        path.write_text('no image' if ending == 'txt' else '')

    with pytest.raises(SystemExit) as exit_:
        run_segmentor(load_tool, rolled_out, tmp_path, [path])

    assert exit_.value.code == 2
    assert f"image.{ending}' cannot be read" in capsys.readouterr().err


def test_images_of_one_name_and_classes_with_separators_have_files_of_their_own(
    load_tool, rolled_out, scenes, tmp_path, monkeypatch
):
    for folder, scene in (('a', 'scene'), ('b', 'wide')):
        (tmp_path / folder).mkdir()
        shutil.copy(scenes / f'{scene}.png', tmp_path / folder / '1.png')
    tool = load_tool('visualization/dense_rollout.py')
    monkeypatch.setattr(tool, 'class_names', lambda model: ['Cabinet/shelf', 'Cabinet shelf'] * 6)

    run_segmentor(load_tool, rolled_out, tmp_path, [tmp_path / 'a/1.png', tmp_path / 'b/1.png'])

    _, data = page_data(tmp_path)
    for stem, entry in zip(('1', '1-2'), data['images'], strict=True):
        assert len(entry['classes']) == len(list(tmp_path.glob(f'{stem}_Cabinet-shelf*.png')))


def test_images_that_lack_a_class_are_told_and_the_others_shown(
    load_tool, rolled_out, scenes, tmp_path, capsys
):
    _, data = page_data(rolled_out('segmentor'))
    scene, wide = ({found['name'] for found in one['classes']} for one in data['images'])
    images, all_names = [scenes / 'scene.png', scenes / 'wide.png'], tuple(map(str, range(10)))
    asked = sorted({*all_names, *scene, *wide})
    capsys.readouterr()

    run_segmentor(load_tool, rolled_out, tmp_path, images, '--classes', *asked)

    _, data = page_data(tmp_path)
    assert [{c['name'] for c in one['classes']} for one in data['images']] == [scene, wide]
    told = capsys.readouterr().err
    for image, there in (('scene', scene), ('wide', wide)):
        for name in asked:
            assert (f'{image}.png: class {name!r} is not predicted' in told) == (name not in there)


def test_a_class_that_no_image_has_is_an_error(load_tool, rolled_out, scenes, tmp_path, capsys):
    _, data = page_data(rolled_out('segmentor'))
    there = {found['name'] for found in data['images'][0]['classes']}
    absent = next(name for name in map(str, range(10)) if name not in there)

    with pytest.raises(SystemExit):
        run_segmentor(load_tool, rolled_out, tmp_path, [scenes / 'scene.png'], '--classes', absent)

    assert f'of --classes {absent} none is predicted' in capsys.readouterr().err


def test_an_unreadable_image_leaves_the_page_of_those_before_it(
    load_tool, rolled_out, scenes, tmp_path
):
    with pytest.raises(SystemExit):
        run_segmentor(load_tool, rolled_out, tmp_path, [scenes / 'scene.png', 'none.png'])

    _, data = page_data(tmp_path)
    assert [entry['name'] for entry in data['images']] == ['scene.png']


def test_weights_of_another_model_are_refused_without_advice_that_cannot_be_followed(
    load_tool, rolled_out
):
    tool = load_tool('visualization/dense_rollout.py')
    cfg = Config.fromfile(REPO / 'configs' / 'digits' / f'{CONFIGS["segmentor"]}.py')

    with pytest.raises(UserError, match=r'the weights of .* do not cover the model') as error:
        tool.load_model(cfg, str(rolled_out('classifier') / 'random.pth'))

    assert 'allow_partial' not in str(error.value)


def test_boxes_lie_right_on_a_padded_picture(load_tool, rolled_out, scenes):
    rolled_out('detector')
    page, tool = sys.modules['dense_rollout_page'], load_tool('visualization/dense_rollout.py')
    cfg = Config.fromfile(REPO / 'configs' / 'digits' / f'{CONFIGS["detector"]}.py')
    # Random weights predict degenerate boxes.
    cfg.model.test_cfg.rcnn.score_thr = 1.1
    cfg.test_dataloader.dataset.pipeline.insert(-1, ConfigDict(type='Pad', size=(256, 128)))
    model = tool.load_model(cfg, str(rolled_out('detector') / 'random.pth'))
    taken = tool.capture(model, tool.load_image(cfg, scenes / 'wide.png'))
    weights = torch.zeros(taken.left.x.shape[1])
    found = TokenSet(0, weights, 0.9, [32.0, 48.0, 64.0, 96.0])

    entry = page.image_entry('wide', taken, [], [found], ['0'])

    height, width = entry['height'], entry['width']
    assert taken.sample.ori_shape == (96, 128)
    left, top, right, bottom = entry['instances'][0]['box']
    wide, tall = taken.sample.scale_factor
    assert (left * width, right * width) == pytest.approx((32 * wide, 64 * wide), abs=0.1)
    assert (top * height, bottom * height) == pytest.approx((48 * tall, 96 * tall), abs=0.1)


@pytest.fixture(scope='module')
def browser():
    """Debian's headless Chromium; without it the tests are skipped, or fail where
    MMTOKEN_REQUIRE_BROWSER=1 requires it.
    """
    missing = None
    executable = shutil.which('chromium') or shutil.which('chromium-browser')
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing = 'the Python package playwright is not installed'
    if executable is None:
        missing = 'no chromium is installed (Debian: apt-get install chromium)'
    if missing:
        if os.environ.get('MMTOKEN_REQUIRE_BROWSER') == '1':
            pytest.fail(f'MMTOKEN_REQUIRE_BROWSER=1, but {missing}')
        pytest.skip(missing)
    with sync_playwright() as playwright:
        # As root, as in containers, Chromium starts without its sandbox only.
        chromium = playwright.chromium.launch(executable_path=executable, args=['--no-sandbox'])
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser, rolled_out):
    """A function that opens the page of a kind of model, at a window size."""
    contexts = []

    def open_(kind, width=1200, height=900):
        context = browser.new_context(viewport=dict(width=width, height=height), offline=True)
        contexts.append(context)
        page = context.new_page()
        page.errors = []
        page.on('pageerror', lambda error: page.errors.append(str(error)))
        page.goto((rolled_out(kind) / 'index.html').as_uri())
        page.wait_for_function('picture.complete')
        return page

    yield open_
    for context in contexts:
        context.close()


def canvas(page):
    """The pixels of the stage, as an address that is equal for equal pixels."""
    return page.evaluate("document.getElementById('stage').toDataURL()")


def hover(page, row, column):
    box = page.locator('#stage').bounding_box()
    x, y = box['x'] + (column + 0.5) * box['width'] / 16, box['y'] + (row + 0.5) * box['width'] / 16
    page.mouse.move(x, y)


def test_hovering_a_patch_shows_where_that_token_looked(open_page):
    page = open_page('segmentor')
    before = canvas(page)

    hover(page, 4, 9)
    first = canvas(page)
    told = page.text_content('#status')
    hover(page, 10, 2)

    assert 'Patch row 5, column 10, layers 1 to 6' in told
    assert 'Patch row 11, column 3' in page.text_content('#status')
    assert len({before, first, canvas(page)}) == 3
    page.mouse.move(1, 1)
    assert canvas(page) == before
    assert page.errors == []


def test_picking_a_class_shows_its_map(open_page):
    page = open_page('segmentor')
    buttons = page.locator('#classes button')
    assert buttons.count() > 1
    before = canvas(page)

    buttons.nth(1).click()

    assert canvas(page) != before
    assert buttons.nth(1).get_attribute('aria-pressed') == 'true'
    assert buttons.nth(0).get_attribute('aria-pressed') == 'false'
    assert f'Class {buttons.nth(1).text_content()}' in page.text_content('#status')


def test_picking_an_instance_shows_its_map(open_page):
    page = open_page('detector')
    before = canvas(page)

    page.locator('#instances button').first.click()

    assert canvas(page) != before
    assert page.text_content('#status').startswith('Instance of ')


def test_the_slider_chooses_the_layers(open_page):
    page = open_page('segmentor')
    before = canvas(page)

    page.locator('#layer').fill('2')

    assert canvas(page) != before
    assert page.text_content('#depth') == '1 to 2 of 6'
    assert 'layers 1 to 2' in page.text_content('#status')


def test_everything_is_reached_with_the_keyboard(open_page):
    page = open_page('segmentor')
    reached = []
    for _ in range(20):
        page.keyboard.press('Tab')
        reached.append(page.evaluate('document.activeElement.id || document.activeElement.tagName'))
        if reached[-1] == 'layer':
            break
    page.keyboard.press('ArrowLeft')
    assert page.text_content('#depth') == '1 to 5 of 6'
    page.locator('#stage').focus()
    for key in ('ArrowRight', 'ArrowRight', 'ArrowDown'):
        page.keyboard.press(key)

    assert {'stage', 'image', 'BUTTON', 'layer'} <= set(reached)
    assert 'Patch row 2, column 2' in page.text_content('#status')
    page.keyboard.press('Escape')
    assert page.text_content('#status').startswith('Class ')


def test_another_image_can_be_chosen(open_page):
    page = open_page('segmentor')

    page.select_option('#image', '1')
    page.wait_for_function('picture.complete')

    assert 'wide.png · 12×16 patches' in page.text_content('#subtitle')
    assert page.errors == []


@pytest.mark.parametrize('kind', CONFIGS)
def test_the_page_fits_a_phone(open_page, kind):
    page = open_page(kind, 360, 740)

    assert page.evaluate('document.documentElement.scrollWidth') <= 360
    assert page.locator('#stage').bounding_box()['width'] >= 300
    heights = [button.bounding_box()['height'] for button in page.locator('button').all()]
    assert min(heights) >= 44
    assert page.errors == []
