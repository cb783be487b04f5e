"""Wrong boxes, categories, polygons and maps of labels are named; none is left out unsaid."""

import json
from copy import deepcopy

import numpy as np
import pytest
from malformed_images import encoded, picture
from mmengine.runner import Runner
from watched_maps import Boxes, Maps, labels, segmentation
from watched_runs import loader, watched_run, write_images

from mmtoken.errors import UserError
from mmtoken.runtime.bad_data.boxes import fault_of_annotation, watched_annotations
from mmtoken.runtime.bad_data.hook import BadDataHook

IMAGE = dict(id=7, file_name='scene.png', width=48, height=40)
GOOD = dict(id=1, image_id=7, category_id=3, bbox=[4, 5, 10, 12], area=120, iscrowd=0)
CATEGORIES = [dict(id=3, name='cat'), dict(id=5, name='dog')]
WRONG = {
    'right of it': (dict(bbox=[48, 5, 10, 12]), 'has the box [48, 5, 10, 12], outside of 48 x 40'),
    'below it': (dict(bbox=[4, 40, 10, 12]), 'outside of 48 x 40 pixels'),
    'left of it': (dict(bbox=[-10, 5, 10, 12]), 'outside of 48 x 40 pixels'),
    'above it': (dict(bbox=[4, -12, 10, 12]), 'outside of 48 x 40 pixels'),
    'no width': (dict(bbox=[4, 5, 0, 12]), 'has a box of 0 x 12 and the area 120'),
    'negative height': (dict(bbox=[4, 5, 10, -1]), 'has a box of 10 x -1'),
    'no area': (dict(area=0), 'has a box of 10 x 12 and the area 0'),
    'narrow': (dict(bbox=[4, 5, 0.5, 12]), 'has a box of 0.5 x 12, below 1 pixel'),
    'NaN': (dict(bbox=[4, float('nan'), 10, 12]), 'has the box [4, nan, 10, 12]'),
    'category': (dict(category_id=9), 'has the category 9, which is none'),
    'three numbers': (dict(bbox=[4, 5, 10]), 'has the box [4, 5, 10], which are not 4 numbers'),
    'none in a box': (dict(bbox=[4, None, 10, 12]), 'has the box [4, None, 10, 12], which are not'),
    'no box': (dict(bbox=None), 'has the box None, which are not 4 numbers'),
    'area of none': (dict(area=None), 'has the area None, which is no number'),
    'polygon': (dict(segmentation=[[1, 1, 5, 5]]), 'has a polygon of 4 numbers'),
    'odd polygon': (dict(segmentation=[[1, 1, 5, 5, 9, 9, 2]]), 'has a polygon of 7 numbers'),
    'mask': (dict(segmentation=dict(size=[48, 40], counts=[1920])), 'has a mask of [48, 40]'),
}
RIGHT = {
    'plain': {},
    'partly outside': dict(bbox=[-4, -5, 10, 12]),
    'ignored': dict(ignore=1, bbox=[0, 0, 0, 0]),
    'polygon': dict(segmentation=[[1, 1, 5, 5, 1, 5]]),
    'no polygon': dict(segmentation=[]),
    'mask': dict(segmentation=dict(size=[40, 48], counts=[1920])),
}
PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path')),
]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    """What mmengine logs of the machine takes it a second of each run."""
    monkeypatch.setattr(Runner, '_log_env', lambda self, cfg: None)


@pytest.mark.parametrize('name', WRONG)
def test_a_wrong_annotation_is_named(name):
    changes, text = WRONG[name]

    assert text in fault_of_annotation(GOOD | changes, IMAGE, {3: 'cat'}).text


@pytest.mark.parametrize('name', RIGHT)
def test_a_right_annotation_is_not(name):
    assert fault_of_annotation(GOOD | RIGHT[name], IMAGE, {3: 'cat'}) is None


def coco(folder, annotations, images=(IMAGE,)):
    """The config of a data set in COCO's format, of one class of its two categories."""
    write_images(folder, {image['file_name']: encoded(picture(), 'PNG') for image in images})
    content = dict(images=list(images), annotations=annotations, categories=CATEGORIES)
    (folder / 'scenes.json').write_text(json.dumps(content))
    return dict(
        type='CocoDataset',
        ann_file=str(folder / 'scenes.json'),
        data_prefix=dict(img=str(folder)),
        metainfo=dict(classes=('cat',)),
        pipeline=deepcopy(PIPELINE),
        serialize_data=False,
    )


def annotations(wrong, right=10):
    """A list of right annotations and wrong ones."""
    changes = [{}] * right + [WRONG[name][0] for name in wrong]
    return [GOOD | change | dict(id=number) for number, change in enumerate(changes)]


def test_what_mmdet_leaves_out_is_named_listed_and_summed_up(tmp_path):
    dataset = coco(tmp_path, annotations(['NaN', 'category']))
    runner, warnings = watched_run(
        tmp_path / 'run', loader(dataset), [BadDataHook(limit=0.5)], Boxes(), default_scope='mmdet'
    )

    runner.train()

    where = f'train_dataloader: {tmp_path}/scenes.json: annotation '
    assert warnings[0].startswith(f'{where}10 of image scene.png (id 7) has the box [4, nan')
    assert warnings[1].startswith(f'{where}11 of image scene.png (id 7) has the category 9')
    assert '2 of 12 annotations' in warnings[2] and '1 unknown category' in warnings[2]
    [file] = (tmp_path / 'run').glob('*/bad_data/train_dataloader_annotations.jsonl')
    assert [json.loads(line)['kind'] for line in file.open()] == [
        'box not finite',
        'unknown category',
    ]


def test_more_wrong_annotations_than_the_limit_are_an_error(tmp_path):
    dataset = coco(tmp_path, annotations(['no width', 'below it']))
    runner, _ = watched_run(
        tmp_path / 'run', loader(dataset), [BadDataHook(limit=0.1)], Boxes(), default_scope='mmdet'
    )

    with pytest.raises(UserError, match=r'2 of 12 annotations of .*scenes.json are bad, more than'):
        runner.train()


def test_what_mmdet_would_break_off_at_is_named_and_left_out(tmp_path):
    found = annotations(['three numbers', 'none in a box', 'no box', 'area of none'])
    for key in ('bbox', 'area'):
        found.append({k: v for k, v in GOOD.items() if k != key} | dict(id=len(found)))
    runner, warnings = watched_run(
        tmp_path / 'run',
        loader(coco(tmp_path, found)),
        [BadDataHook(limit=0.5)],
        Boxes(),
        default_scope='mmdet',
    )

    runner.train()

    assert '6 of 16 annotations' in ''.join(warnings)
    [data] = runner.train_dataloader.dataset.data_list
    assert len(data['instances']) == 10


def test_annotations_of_no_image_are_named_and_counted(tmp_path):
    found = [*annotations([]), dict(GOOD, id=99, image_id=1000)]
    runner, warnings = watched_run(
        tmp_path / 'run',
        loader(coco(tmp_path, found)),
        [BadDataHook(limit=0.5)],
        Boxes(),
        default_scope='mmdet',
    )

    runner.train()

    text = 'annotation 99 of image id 1000 is of none of the images of the file'
    assert warnings[0] == f'train_dataloader: {tmp_path}/scenes.json: {text}'
    assert '1 of 11 annotations' in warnings[1] and '1 unknown image' in warnings[1]


@pytest.mark.parametrize('key', ['width', 'height', 'file_name'])
def test_an_image_without_what_mmdet_needs_is_named(tmp_path, key):
    dataset = coco(tmp_path, annotations([]))
    content = json.loads((tmp_path / 'scenes.json').read_text())
    del content['images'][0][key]
    (tmp_path / 'scenes.json').write_text(json.dumps(content))
    runner, _ = watched_run(
        tmp_path / 'run', loader(dataset), [BadDataHook()], Boxes(), default_scope='mmdet'
    )

    with pytest.raises(UserError, match=rf'scenes.json: the image .* \(id 7\) has the {key} None'):
        runner.train()


@pytest.mark.parametrize(
    'content', ['{"images": [', '{"annotations": [{"id": 1}], "images": []}', '[]']
)
def test_a_file_that_is_no_coco_is_named(tmp_path, content):
    dataset = coco(tmp_path, annotations([]))
    (tmp_path / 'scenes.json').write_text(content)
    runner, _ = watched_run(
        tmp_path / 'run', loader(dataset), [BadDataHook()], Boxes(), default_scope='mmdet'
    )

    with pytest.raises(UserError, match=r"scenes.json cannot be read as annotations in COCO's"):
        runner.train()


def test_mmdet_reads_annotations_as_before_once_the_loop_is_built(tmp_path):
    from mmdet.datasets import CocoDataset

    before = CocoDataset.parse_data_info
    dataset = coco(tmp_path, annotations([]))
    runner, warnings = watched_run(
        tmp_path / 'run', loader(dataset), [BadDataHook()], Boxes(), default_scope='mmdet'
    )

    runner.train()

    assert CocoDataset.parse_data_info is before
    assert not [line for line in warnings if 'annotation' in line]


def test_a_data_set_with_its_file_by_another_name_is_watched(tmp_path):
    from mmdet.datasets import CocoDataset
    from pycocotools.coco import COCO

    class LikeLvis(CocoDataset):
        """As those of LVIS, which read their file themselves."""

        def load_data_list(self):
            self.lvis = COCO(self.ann_file)
            # Of pycocotools, by the names of lvis.
            self.lvis.img_ann_map = self.lvis.imgToAnns
            self.cat_ids, self.cat2label = [3, 5], {3: 0, 5: 1}
            images = [dict(image, img_id=key) for key, image in self.lvis.imgs.items()]
            raw = [(image, self.lvis.imgToAnns[image['img_id']]) for image in images]
            return [self.parse_data_info(dict(raw_img_info=i, raw_ann_info=a)) for i, a in raw]

    config = coco(tmp_path, annotations(['NaN'], right=2))
    del config['type'], config['metainfo']
    with watched_annotations('mmdet') as read:
        built = LikeLvis(**config | dict(pipeline=[]))

    assert len(built) == 1 and (read[0].count, len(read[0].bad)) == (3, 1)


def test_an_image_of_another_size_than_annotated_is_named(tmp_path):
    images = [IMAGE, dict(IMAGE, id=8, file_name='turned.png', width=40, height=48)]
    found = [GOOD, dict(GOOD, id=2, image_id=8)]
    runner, warnings = watched_run(
        tmp_path / 'run',
        loader(coco(tmp_path, found, images)),
        [BadDataHook(limit=0.5)],
        Boxes(),
        default_scope='mmdet',
    )

    runner.train()

    text = ''.join(warnings)
    assert 'turned.png is 48x40 pixels, and its annotation says 40x48 (the file asks' in text


def segmented(folder, maps, model=None, **options):
    """The warnings of a run over maps of labels."""
    runner, warnings = watched_run(
        folder / 'run',
        loader(segmentation(folder, maps, **options)),
        [BadDataHook(limit=0.9)],
        model or Maps(),
        default_scope='mmseg',
    )
    runner.train()
    return [line for line in warnings if line.endswith('; replaced')]


@pytest.mark.parametrize(
    ('content', 'text'),
    [
        (labels(2, 3, 7), 'has the labels 3, 7, and the head 3 classes (and 255 for none)'),
        (labels(1, size=(24, 19)), 'is 19x24 pixels, and its image 20x24'),
        (labels(1, 300, dtype=np.uint16), 'has the label 300, and labels above 255 are cut'),
        (encoded(picture((20, 24)), 'PNG'), 'has 3 channels, and a map of labels has one'),
        (labels(1)[:-12], 'is truncated: the PNG has no end'),
        (b'words', 'cannot be read (UnidentifiedImageError'),
    ],
    ids=['label', 'size', '16 bits', 'colors', 'cut', 'text'],
)
def test_a_wrong_map_is_named_with_its_path(tmp_path, content, text):
    [warning] = segmented(tmp_path, [labels(0, 1, 2, 255), content])

    assert f'{tmp_path}/maps/1.png {text}' in warning


def test_labels_that_the_head_ignores_are_right(tmp_path):
    assert not segmented(tmp_path, [labels(2, 254)], Maps(ignored=254))
    assert not segmented(tmp_path, [labels(1, 2, 255), labels(2, dtype=np.uint16)])


def test_of_reduced_labels_zero_is_none(tmp_path):
    [warning] = segmented(tmp_path, [labels(0, 3), labels(4)], reduce_zero_label=True)

    assert '1.png has the labels 3, and the head 3 classes' in warning
