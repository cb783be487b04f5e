"""What the page of the roll-out tool holds of an image."""

import base64
import io
import json
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from mmtoken.rollout import Capture, TokenSet, capture, page, roll_back


def decoded(text: str, *shape: int) -> np.ndarray:
    """Bytes of the page as numbers from 0 to 255."""
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(shape).astype(float)


def one_patch(taken: Capture, place: int, **options) -> TokenSet:
    """A set of one patch of those that left."""
    weights = torch.zeros(taken.left.x.shape[1])
    weights[taken.left.num_aux + place] = 1
    return TokenSet(1, weights, **options)


@pytest.fixture
def taken(build, image_data):
    """A function that captures a classifier's 6x5 patches: taken(pool_before=(1,))."""

    def take(**backbone) -> Capture:
        return capture(build('classifier', **backbone), image_data('classifier', 48, 40))

    return take


def test_a_row_is_where_its_token_looked_by_the_most_attention_to_another(taken):
    shown = taken()

    entry = page.image_entry('scene', shown, [], [], [])

    rows = decoded(entry['rows'], 3, 30, 30)
    for depth, place in ((0, 0), (1, 12), (2, 29)):
        expected = roll_back(shown.steps[: depth + 1], one_patch(shown, place).weights[None])[0, 1:]
        others = torch.cat([expected[:place], expected[place + 1 :]])
        scaled = (expected / others.max() * 255).clamp(max=255)
        assert np.abs(rows[depth, place] - scaled.numpy()).max() <= 0.51


def test_a_map_is_where_its_set_looked_up_to_each_layer_by_its_maximum(taken):
    shown = taken()

    entry = page.image_entry('scene', shown, [one_patch(shown, 7)], [], ['a', 'b'])

    maps = decoded(entry['classes'][0]['maps'], 3, 30)
    for depth in range(3):
        expected = roll_back(shown.steps[: depth + 1], one_patch(shown, 7).weights[None])[0, 1:]
        scaled = expected / expected.max() * 255
        assert np.abs(maps[depth] - scaled.numpy()).max() <= 0.51


def test_a_patch_shows_the_token_that_it_has_become_part_of(taken):
    # 6x5 patches, 3x3 tokens from layer 1 on, 2x2 from layer 2 on.
    shown = taken(pool_before=(1, 2))
    last = one_patch(shown, 2)

    tokens, maps = page._roll_out(shown, [last], pool=1)

    for depth, (side, rows, columns) in enumerate([(1, 6, 5), (2, 3, 3), (4, 2, 2)]):
        of_the_set = roll_back(shown.select((0, depth)), last.weights[None])[0, 1:]
        torch.testing.assert_close(maps[depth, 0].flatten(), of_the_set)
        # The patch in row 5 and column 3, behind the class token.
        place = 1 + (5 // side) * columns + 3 // side
        unit = F.one_hot(torch.tensor(place), 1 + rows * columns).float()
        row = roll_back(shown.steps[: 2 * depth + 1], unit[None])[0, 1:]
        torch.testing.assert_close(tokens[depth, 5 * 5 + 3].flatten(), row)


def test_rows_of_large_grids_are_those_of_blocks_of_patches(taken, monkeypatch):
    shown = taken()
    fine, _ = page._roll_out(shown, [], pool=1)
    # Three layers of 3x3 blocks of 2x2 patches; of the 6x5 patches they would be 2,700 bytes.
    monkeypatch.setattr(page, 'ROW_BYTES', 3 * 9**2)

    entry = page.image_entry('scene', shown, [], [], [])

    assert (entry['grid'], entry['pool'], entry['token']) == ((3, 3), 2, [16, 16])
    blocks, _ = page._roll_out(shown, [], pool=2)
    # The last column of blocks is one patch wide.
    corner = fine.unflatten(1, (6, 5))[:, 4:, 4:].flatten(1, 2)[..., 2:4, 4:].mean(dim=(1, 2, 3))
    torch.testing.assert_close(blocks[:, 8, 1, 2], corner)
    assert decoded(entry['rows'], 3, 9, 9).max() == 255


@pytest.mark.parametrize(
    ('numbers', 'grid', 'pool'),
    [(3 * 30**2, (6, 5), 1), (3 * 30**2 - 1, (3, 3), 2), (3 * 9**2 - 1, (2, 2), 3)],
)
def test_as_few_patches_make_a_block_as_fit(taken, monkeypatch, numbers, grid, pool):
    monkeypatch.setattr(page, 'ROW_BYTES', numbers)

    entry = page.image_entry('scene', taken(), [], [], [])

    assert (entry['grid'], entry['pool'], entry['token']) == (grid, pool, [8 * pool] * 2)


def test_the_picture_is_the_image_itself(taken):
    shown = taken()

    entry = page.image_entry('scene', shown, [], [], [])

    kind, _, data = entry['picture'].partition(',')
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        pixels = np.asarray(picture)
    assert kind == 'data:image/png;base64'
    # OpenMMLab's images are blue first.
    assert np.array_equal(pixels, shown.image.flip(0).permute(1, 2, 0).numpy())
    assert (entry['name'], entry['height'], entry['width']) == ('scene', 48, 40)
    assert entry['depths'] == 3


def test_sets_have_the_names_of_their_classes_or_their_numbers(taken):
    shown = taken()
    sets = [TokenSet(label, one_patch(shown, 0).weights) for label in (0, 1, 2)]

    entry = page.image_entry('scene', shown, sets[1:], sets[:1], ['zero', 'one'])

    assert [found['name'] for found in entry['classes']] == ['one', '2']
    assert [found['name'] for found in entry['instances']] == ['zero']
    assert not {'box', 'score'} & entry['instances'][0].keys()


def test_boxes_are_shares_of_the_picture_which_may_be_padded(taken):
    shown = taken()
    # The original image, 24x20, is enlarged twice and then padded.
    shown.sample.set_metainfo(dict(ori_shape=(24, 20), scale_factor=(2.0, 2.0)))
    shown.image = F.pad(shown.image, (0, 40, 0, 0))
    found = one_patch(shown, 0, score=0.98765, box=[5.0, 6.0, 10.0, 18.0])

    entry = page.image_entry('scene', shown, [], [found], ['a', 'b'])

    (instance,) = entry['instances']
    assert instance['box'] == [0.125, 0.25, 0.25, 0.75]
    assert instance['score'] == 0.988


def test_a_page_holds_its_data_and_no_end_of_its_script(tmp_path):
    entries = (dict(name='</script><b>ä'),)

    page.write_page(tmp_path / 'index.html', entries, 'Größe <1>')

    text = (tmp_path / 'index.html').read_text('utf-8')
    data = re.search(r'const DATA = (.*);\n', text)[1]
    assert json.loads(data) == dict(title='Größe <1>', images=list(entries))
    assert '<' not in data
