"""tools/visualization/dense_rollout.py: its pictures, and its answers to bad input."""

import shutil
from pathlib import Path

import pytest
from mmengine.config import Config
from PIL import Image
from rollout_pages import CONFIGS, config_of, page_data

from mmtoken.errors import UserError
from mmtoken.runtime.load_model import load_model


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
    config = config_of('classifier')
    checkpoint = change.get('checkpoint', str(folder / 'random.pth'))
    image = change.get('image', str(scenes / 'scene.png'))
    words = [str(config), checkpoint, image, '--out', str(tmp_path), *change.get('words', ())]
    capsys.readouterr()

    with pytest.raises(SystemExit) as exit_:
        load_tool('visualization/dense_rollout.py').main(words)

    assert exit_.value.code == 2
    assert message in capsys.readouterr().err


def run_segmentor(load_tool, rolled_out, out, images, *words):
    config = config_of('segmentor')
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


def test_weights_of_another_model_are_refused_without_advice_that_cannot_be_followed(rolled_out):
    cfg = Config.fromfile(config_of('segmentor'))

    with pytest.raises(UserError, match=r'the weights of .* do not cover the model') as error:
        load_model(cfg, str(rolled_out('classifier') / 'random.pth'))

    assert 'allow_partial' not in str(error.value)
