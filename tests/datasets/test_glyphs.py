"""Glyphs: pure functions of their ids, none in both splits, and classes that can be told apart."""

import re
from itertools import combinations
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
from matplotlib.ft2font import FT2Font

from mmtoken.datasets import Glyphs, glyphs
from mmtoken.datasets.glyph_classes import ALPHABETS, GLYPHS, glyph_names
from mmtoken.datasets.glyphs import FACES, glyph_image, join_id, split_id

ALL = Glyphs(len(GLYPHS))
FONTS = Path(matplotlib.get_data_path()) / 'fonts' / 'ttf'


def picked(split, label, count=200):
    rng = np.random.default_rng(0)
    return [ALL.pick(rng, split, label) for _ in range(count)]


@pytest.mark.parametrize('face', FACES)
def test_every_face_has_every_character(face):
    characters = FT2Font(str(FONTS / f'{face}.ttf')).get_charmap()

    assert [glyph for glyph in GLYPHS if ord(glyph) not in characters] == []


def test_an_id_is_class_face_and_warp():
    assert split_id(join_id(5, 11, 65535)) == (5, 11, 65535)
    assert len({join_id(*parts) for parts in [(0, 1, 0), (1, 0, 0), (0, 0, 1)]}) == 3


def test_no_face_and_no_warp_is_in_both_splits():
    train, val = ([split_id(found) for found in picked(split, 7)] for split in ('train', 'val'))

    for part in (1, 2):
        assert max(found[part] for found in train) < min(found[part] for found in val)
    assert {found[0] for found in train + val} == {7}


@pytest.mark.parametrize(('split', 'faces'), [('train', 9), ('val', 3)])
def test_a_split_has_faces_of_every_family(split, faces):
    found = {FACES[split_id(glyph_id)[1]] for glyph_id in picked(split, 0)}

    assert len(found) == faces
    assert {name.split('-')[0] for name in found} == {'DejaVuSans', 'DejaVuSerif', 'DejaVuSansMono'}


def test_a_glyph_is_the_same_whatever_was_drawn_before():
    first = glyph_image(join_id(3, 2, 1))
    glyphs.face_distances.cache_clear()
    glyph_image(join_id(4, 2, 1))

    assert np.array_equal(glyph_image(join_id(3, 2, 1)), first)


def test_distances_do_not_have_the_last_bit_of_opencv(monkeypatch):
    """It is another one from call to call."""
    first, measure = glyphs.face_distances(3, 2), cv2.distanceTransform
    glyphs.face_distances.cache_clear()
    monkeypatch.setattr(
        cv2, 'distanceTransform', lambda *args: np.nextafter(measure(*args), np.float32(99))
    )

    assert np.array_equal(glyphs.face_distances(3, 2), first)


@pytest.mark.parametrize('other', [(4, 2, 1), (3, 1, 1), (3, 2, 2)], ids=['class', 'face', 'warp'])
def test_every_part_of_an_id_changes_the_glyph(other):
    assert not np.array_equal(glyph_image(join_id(3, 2, 1)), glyph_image(join_id(*other)))


@pytest.mark.parametrize('label', range(len(GLYPHS)), ids=glyph_names(len(GLYPHS)))
def test_a_glyph_is_like_a_digit_of_scikit_learn(label):
    image = glyph_image(join_id(label, 0, 0))

    assert (image.shape, image.dtype) == ((8, 8), np.float32)
    assert image.min() >= 0 and 0.6 < image.max() <= 1
    edges = [image[[0, -1]].any(axis=1), image[:, [0, -1]].any(axis=0)]
    assert any(both.all() for both in edges), 'its longer side is not filled'


@pytest.mark.parametrize('character', '/~=TLV')
def test_no_stroke_is_lost_in_the_reduction(character):
    """Enlarged as in a scene, a glyph has no more pieces than its character."""
    label, rng = GLYPHS.index(character), np.random.default_rng(0)

    pieces = []
    for glyph_id in [ALL.pick(rng, 'train', label) for _ in range(50)]:
        small = np.pad(glyph_image(glyph_id), 2)
        smooth = cv2.resize(small, None, fx=8, fy=8, interpolation=cv2.INTER_CUBIC)
        ink = cv2.GaussianBlur(smooth, (0, 0), 2) >= 0.5
        pieces.append(cv2.connectedComponents(ink.astype(np.uint8))[0] - 1)

    assert set(pieces) <= {1, 1 + (character == '=')}


def test_no_character_is_a_digit_or_stands_twice():
    assert len(GLYPHS) == len(set(GLYPHS)) == sum(map(len, ALPHABETS.values())) >= 96
    assert not [glyph for glyph in GLYPHS if glyph.isnumeric()]


@pytest.mark.parametrize('count', [10, 30, 60, 96])
def test_the_first_classes_are_of_all_alphabets(count):
    for characters in ALPHABETS.values():
        share = sum(glyph in characters for glyph in GLYPHS[:count]) / count

        assert share == pytest.approx(len(characters) / len(GLYPHS), abs=1 / count + 0.01)


def test_names_are_of_folders_and_unique():
    names = glyph_names(len(GLYPHS))

    assert len(set(names)) == len(names)
    assert all(re.fullmatch('[a-z][a-z0-9-]*', name) for name in names)


def test_no_two_classes_have_the_same_shape():
    """As they are drawn, not warped, in the mean of all faces."""
    shapes = np.array([[shape(label, face) for face in range(12)] for label in range(len(GLYPHS))])
    shapes -= shapes.mean(axis=2, keepdims=True)
    shapes /= np.linalg.norm(shapes, axis=2, keepdims=True)
    likeness = np.einsum('afp,bfp->ab', shapes, shapes) / len(FACES)

    alike = [
        (GLYPHS[a], GLYPHS[b])
        for a, b in combinations(range(len(GLYPHS)), 2)
        if likeness[a, b] > 0.95
    ]
    assert alike == []


def shape(label, face):
    ink = glyphs.retrace(glyphs.face_distances(label, face), 1.25)
    return glyphs.fit(glyphs.crop(ink), 8, 8).ravel()
