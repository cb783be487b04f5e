"""The page of tools/visualization/dense_rollout.py: what it holds, and what a browser shows."""

import base64
import os
import re
import shutil

import numpy as np
import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.registry import MODELS, init_default_scope
from rollout_pages import CONFIGS, config_of, page_data

from mmtoken.rollout import TokenSet, capture, page, roll_back
from mmtoken.runtime.load_model import load_image, load_model


def test_what_the_page_shows_of_a_token_is_its_row_of_the_rollout(rolled_out, scenes):
    folder = rolled_out('segmentor')
    cfg = Config.fromfile(config_of('segmentor'))
    model = load_model(cfg, str(folder / 'random.pth'))
    taken = capture(model, load_image(cfg, scenes / 'scene.png'))

    _, data = page_data(folder)

    rows = np.frombuffer(base64.b64decode(data['images'][0]['rows']), np.uint8)
    unit = torch.zeros(1, 257)
    unit[0, 1 + 40] = 1.0
    expected = roll_back(taken.steps[:3], unit)[0, 1:]
    scale = torch.cat([expected[:40], expected[41:]]).max()
    scaled = (expected / scale * 255).clamp(max=255)
    found = rows.reshape(6, 256, 256)[2, 40].astype(float)
    assert np.abs(found - scaled.numpy()).max() <= 1


def test_a_patch_shows_the_token_that_it_has_become_part_of(rolled_out, scenes):
    rolled_out('segmentor')
    cfg = Config.fromfile(config_of('segmentor'))
    init_default_scope(cfg.default_scope)
    cfg.model.backbone.update(init_cfg=None, pool_before=(2, 4))
    cfg.model.neck.patch_size = 32
    model = MODELS.build(cfg.model).eval()
    taken = capture(model, load_image(cfg, scenes / 'wide.png'))
    # 12x16 patches, 6x8 tokens from layer 2 on, 3x4 from layer 4 on.
    weights = torch.nn.functional.one_hot(torch.tensor(1 + 7), 13).float()

    tokens, maps = page._roll_out(taken, [TokenSet(0, weights)], pool=1)

    ran, sides = [1, 2, 4, 5, 7, 8], [1, 1, 2, 2, 4, 4]
    for depth, (count, side) in enumerate(zip(ran, sides, strict=True)):
        steps = taken.select((0, depth))
        of_the_set = roll_back(steps, weights[None])[:, 1:].unflatten(1, (12, 16))
        torch.testing.assert_close(maps[depth], of_the_set)
        columns = 16 // side
        # Of the patch in row 7 and column 9.
        place = 1 + (7 // side) * columns + 9 // side
        unit = torch.nn.functional.one_hot(torch.tensor(place), 1 + 12 // side * columns).float()
        row = roll_back(taken.steps[:count], unit[None])[:, 1:].unflatten(1, (12, 16))[0]
        torch.testing.assert_close(tokens[depth, 7 * 16 + 9], row)


def test_large_grids_are_pooled(rolled_out, scenes, monkeypatch):
    rolled_out('segmentor')
    monkeypatch.setattr(page, 'ROW_BYTES', 6 * 64**2)
    cfg = Config.fromfile(config_of('segmentor'))
    model = load_model(cfg, str(rolled_out('segmentor') / 'random.pth'))
    taken = capture(model, load_image(cfg, scenes / 'scene.png'))

    entry = page.image_entry('scene', taken, [], [], [])

    assert (entry['grid'], entry['pool'], entry['token']) == ((8, 8), 2, [16.0, 16.0])
    assert len(base64.b64decode(entry['rows'])) == 6 * 64 * 64


def test_boxes_lie_right_on_a_padded_picture(rolled_out, scenes):
    rolled_out('detector')
    cfg = Config.fromfile(config_of('detector'))
    # Random weights predict degenerate boxes.
    cfg.model.test_cfg.rcnn.score_thr = 1.1
    cfg.test_dataloader.dataset.pipeline.insert(-1, ConfigDict(type='Pad', size=(256, 128)))
    model = load_model(cfg, str(rolled_out('detector') / 'random.pth'))
    taken = capture(model, load_image(cfg, scenes / 'wide.png'))
    weights = torch.zeros(taken.left.x.shape[1])
    found = TokenSet(0, weights, 0.9, [32.0, 48.0, 64.0, 96.0])

    entry = page.image_entry('wide', taken, [], [found], ['0'])

    height, width = entry['height'], entry['width']
    assert taken.sample.ori_shape == (96, 128)
    left, top, right, bottom = entry['instances'][0]['box']
    wide, tall = taken.sample.scale_factor
    assert (left * width, right * width) == pytest.approx((32 * wide, 64 * wide), abs=0.1)
    assert (top * height, bottom * height) == pytest.approx((48 * tall, 96 * tall), abs=0.1)


def test_the_page_has_a_map_of_every_token_class_and_instance_at_every_layer(rolled_out):
    _, data = page_data(rolled_out('detector'))

    scene, wide = data['images']
    assert (scene['grid'], wide['grid']) == ([16, 16], [12, 16])
    assert len(base64.b64decode(scene['rows'])) == 6 * 256 * 256
    assert scene['instances']
    for found in [*scene['classes'], *scene['instances']]:
        assert len(base64.b64decode(found['maps'])) == 6 * 256


@pytest.mark.parametrize('kind', CONFIGS)
def test_the_page_needs_nothing_else(rolled_out, kind):
    text, _ = page_data(rolled_out(kind))

    assert not re.findall(r'(?:src|href)\s*=\s*"', text)
    assert not re.findall(r'https?:|@import|url\(|fetch\(|import\(', text)


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
