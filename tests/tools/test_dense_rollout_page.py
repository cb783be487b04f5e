"""The page of tools/visualization/dense_rollout.py: what it holds, and what a browser shows."""

import base64
import os
import re
import shutil

import pytest
from rollout_pages import CONFIGS, page_data


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
