"""Shares of classes in cells are areas of masks, whatever the masks are stored as."""

import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from mmtoken.datasets.mask_shares import CocoMasks, MaskFolder, cell_shares
from mmtoken.errors import UserError


def dense(values, ids, classes):
    out = np.zeros((classes, *values.shape[1:]))
    for k in range(len(values)):
        for place in np.ndindex(values.shape[1:]):
            out[(ids[k][place], *place)] += values[(k, *place)]
    return out


@pytest.mark.parametrize(
    ('size', 'grid'), [((12, 20), (3, 4)), ((10, 14), (3, 4)), ((3, 2), (6, 8))]
)
def test_shares_are_means_over_areas(size, grid):
    classes = np.random.RandomState(0).randint(0, 4, size)

    found = dense(*cell_shares(classes, grid, top_k=4), 4)

    # Every pixel in as many parts as make cells whole numbers of them.
    parts = classes.repeat(grid[0], axis=0).repeat(grid[1], axis=1)
    cells = parts.reshape(grid[0], size[0], grid[1], size[1])
    expected = np.stack([(cells == label).mean(axis=(1, 3)) for label in range(4)])
    assert np.abs(found - expected).max() < 1e-3  # half precision


def test_the_largest_shares_are_kept():
    classes = np.array([[0, 0, 0, 1, 1, 2]])

    values, ids = cell_shares(classes, (1, 1), top_k=2)

    assert ids.ravel().tolist() == [0, 1]
    assert values.ravel() == pytest.approx([1 / 2, 1 / 3], abs=1e-3)


def test_png_masks_count_classes_beside_the_background(tmp_path):
    (tmp_path / 'a').mkdir()
    mask = np.array([[0, 1, 2, 255]], np.uint8)
    Image.fromarray(mask).save(tmp_path / 'a' / '1.png')

    # Two classes: 255 is none of them, so no class as the background is none.
    assert MaskFolder(tmp_path, 2).read('a/1.jpg').tolist() == [[2, 0, 1, 2]]
    assert MaskFolder(tmp_path, 3, background=255).read('a/1.jpg').tolist() == [[0, 1, 2, 3]]


def test_a_mask_of_more_classes_is_named(tmp_path):
    Image.fromarray(np.array([[0, 1, 3, 255]], np.uint8)).save(tmp_path / '1.png')

    with pytest.raises(UserError, match=r'1\.png has the value 3, beyond 2 classes and the backgr'):
        MaskFolder(tmp_path, 2).read('1.png')


@pytest.mark.parametrize('content', ['{', '[]', '{"images": []}', '{"annotations": [{"id": 1}]}'])
def test_a_file_that_is_not_in_cocos_format_is_named(tmp_path, content):
    (tmp_path / 'i.json').write_text(content)

    with pytest.raises(UserError, match=r"i\.json is not in COCO's format"):
        CocoMasks(tmp_path / 'i.json', 2)


def test_a_missing_mask_is_named(tmp_path):
    with pytest.raises(UserError, match=r"1\.png of the image '1.jpg' cannot be read"):
        MaskFolder(tmp_path, 2).read('1.jpg')


def test_a_colored_mask_is_named(tmp_path):
    Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(tmp_path / '1.png')

    with pytest.raises(UserError, match=r'1\.png has shape \(2, 2, 3\)'):
        MaskFolder(tmp_path, 2).read('1.png')


def coco_file(path):
    square = np.zeros((4, 6), np.uint8, order='F')
    square[1:3, 1:4] = 1
    encoded = coco_mask.encode(square)
    encoded['counts'] = encoded['counts'].decode()
    annotation = dict(id=1, image_id=5, category_id=9, segmentation=encoded, iscrowd=0)
    later = dict(
        id=2, image_id=5, category_id=3, segmentation=[[0, 0, 2, 0, 2, 2, 0, 2]], iscrowd=0
    )
    content = dict(
        images=[dict(id=5, file_name='a.png', height=4, width=6)],
        annotations=[annotation, later],
        categories=[dict(id=9, name='nine'), dict(id=3, name='three')],
    )
    path.write_text(json.dumps(content))
    return path


def test_coco_masks_lie_over_each_other_in_their_order(tmp_path):
    classes = CocoMasks(coco_file(tmp_path / 'i.json'), 2).read('a.png')

    assert classes.tolist() == [
        [0, 0, 2, 2, 2, 2],
        [0, 0, 1, 1, 2, 2],
        [2, 1, 1, 1, 2, 2],
        [2, 2, 2, 2, 2, 2],
    ]


def test_annotations_of_other_classes_or_images_are_refused(tmp_path):
    file = coco_file(tmp_path / 'i.json')

    with pytest.raises(UserError, match='has 2 categories and the config 3 classes'):
        CocoMasks(file, 3)
    with pytest.raises(UserError, match="no mask of 1 of 2 training images, such as 'b.png'"):
        CocoMasks(file, 2).check(['a.png', 'b.png'])


def test_objects_without_masks_are_their_boxes(tmp_path):
    file = coco_file(tmp_path / 'i.json')
    content = json.loads(file.read_text())
    content['annotations'][1].update(segmentation=[], bbox=[4.0, 1.0, 5.0, 2.0])
    file.write_text(json.dumps(content))

    assert CocoMasks(file, 2).read('a.png').tolist() == [
        [2, 2, 2, 2, 2, 2],
        [2, 1, 1, 1, 0, 0],
        [2, 1, 1, 1, 0, 0],
        [2, 2, 2, 2, 2, 2],
    ]


def test_boxes_outside_of_the_image_are_nowhere(tmp_path):
    file = coco_file(tmp_path / 'i.json')
    content = json.loads(file.read_text())
    content['annotations'][1].update(segmentation=[], bbox=[-5.0, -3.0, 4.0, 2.0])
    file.write_text(json.dumps(content))

    assert (CocoMasks(file, 2).read('a.png') != 0).all()


def larger():
    mask = coco_mask.encode(np.ones((8, 8), np.uint8, order='F'))
    return dict(mask, counts=mask['counts'].decode())


@pytest.mark.parametrize(
    ('entry', 'change', 'reason'),
    [
        ('annotations', dict(segmentation=larger()), 'IndexError: boolean index did not match'),
        ('annotations', dict(segmentation=[[1, 2]]), 'Exception: input type is not supported'),
        ('annotations', dict(segmentation=[]), "KeyError: 'bbox'"),
        ('annotations', dict(category_id=4), 'KeyError: 4'),
        ('images', dict(height=None), 'TypeError'),
    ],
    ids=['larger', 'no polygon', 'nowhere', 'of no category', 'of no size'],
)
def test_objects_of_an_image_that_are_nowhere_are_named(tmp_path, entry, change, reason):
    file = coco_file(tmp_path / 'i.json')
    content = json.loads(file.read_text())
    content[entry][0].update(change)
    file.write_text(json.dumps(content))

    with pytest.raises(UserError, match=f"i.json does not say where .* 'a.png' are .{reason}"):
        CocoMasks(file, 2).read('a.png')


def test_images_without_a_mask_are_counted_before_anything_is_read(tmp_path):
    (tmp_path / 'a').mkdir()
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / 'a/1.png')
    masks = MaskFolder(tmp_path, 2)

    masks.check(['a/1.jpg'])
    with pytest.raises(UserError, match="no mask of 2 of 3 training images, such as 'a/2.jpg'"):
        masks.check(['a/1.jpg', 'a/2.jpg', 'b/1.jpg'])
