"""tools/visualization/browse_dataset.py paints the samples of all three libraries."""

from pathlib import Path

import numpy as np
import pytest
from label_stores import write_label_store
from mmengine.config import Config
from PIL import Image

REPO = Path(__file__).parents[2]
TASKS = {'cls': 'classification', 'det': 'detection', 'seg': 'segmentation'}


@pytest.fixture
def browse(load_tool):
    """`main` of the tool, taking the command line's words."""
    main = load_tool('visualization/browse_dataset.py').main
    return lambda *words: main([str(word) for word in words])


@pytest.fixture
def config(digit_scenes, tmp_path):
    """A function that writes a config of one task over the tiny digit scenes."""

    def write(task):
        base = REPO / 'configs' / '_base_' / 'datasets' / f'digits_{task}.py'
        cfg = Config.fromfile(base)
        for phase in ('train', 'val', 'test'):
            cfg[f'{phase}_dataloader'].dataset.data_root = f'{digit_scenes / TASKS[task]}/'
        path = tmp_path / f'{task}.py'
        cfg.dump(path)
        return path

    return write


def pictures(folder):
    return {path.name: np.array(Image.open(path)) for path in sorted(folder.iterdir())}


@pytest.mark.parametrize('task', TASKS)
@pytest.mark.parametrize('phase', ['train', 'val', 'test'])
def test_samples_of_every_task_and_phase_are_painted(browse, config, tmp_path, task, phase):
    browse(config(task), '--phase', phase, '--number', 2, '--out', tmp_path / 'out')

    painted = pictures(tmp_path / 'out')
    assert len(painted) == 2
    assert all(min(image.shape[:2]) >= 320 and image.std() > 0 for image in painted.values())


@pytest.mark.parametrize('task', TASKS)
def test_both_paints_the_original_beside_the_transformed(browse, config, tmp_path, task):
    browse(config(task), '--mode', 'both', '--number', 1, '--out', tmp_path / 'out')

    names = [name.rsplit('_', 1)[1] for name in pictures(tmp_path / 'out')]
    assert names == ['original.png', 'transformed.png']


def test_original_shows_the_file_in_its_colors(browse, config, digit_scenes, tmp_path):
    browse(config('cls'), '--mode', 'original', '--number', 1, '--out', tmp_path / 'out')

    source = np.array(Image.open(digit_scenes / 'classification/train/0/000000.png'))
    (painted,) = pictures(tmp_path / 'out').values()
    # The lower half, which the label does not cover.
    assert np.abs(painted[2::5, 2::5][32:].astype(int) - source[32:]).max() <= 1


@pytest.mark.parametrize('task', ['det', 'seg'])
def test_annotations_are_painted(browse, config, digit_scenes, tmp_path, task):
    browse(config(task), '--mode', 'original', '--number', 1, '--out', tmp_path / 'out')

    source = np.array(Image.open(digit_scenes / 'detection' / 'train' / '000000.png'))
    (painted,) = pictures(tmp_path / 'out').values()
    assert np.abs(painted[1::3, 1::3].astype(int) - source).max() > 50


def test_label_maps_are_painted_beside_the_image(browse, digit_scenes, tmp_path):
    cfg = Config.fromfile(REPO / 'configs/digits/token-label-life-d6w96_digits-cls.py')
    for phase in ('train', 'val', 'test'):
        cfg[f'{phase}_dataloader'].dataset.data_root = f'{digit_scenes}/classification/'
    (step,) = [s for s in cfg.train_dataloader.dataset.pipeline if s.type == 'LoadTokenLabels']
    step.update(store=str(tmp_path / 'store'), images=f'{digit_scenes}/classification/train')
    images = (digit_scenes / 'classification/train').rglob('*.png')
    names = sorted(f'{path.parent.name}/{path.name}' for path in images)
    write_label_store(tmp_path / 'store', names, classes=11)
    cfg.dump(tmp_path / 'labels.py')

    browse(tmp_path / 'labels.py', '--mode', 'both', '--number', 1, '--out', tmp_path / 'out')

    for painted in pictures(tmp_path / 'out').values():
        side = painted.shape[0]
        assert painted.shape == (side, 2 * side, 3)
        # Below the label and above the names, the left half is the image and the right one tinted.
        assert np.abs(painted[160:220, :side].astype(int) - painted[160:220, side:]).mean() > 10


def test_same_call_paints_the_same_pictures(browse, config, tmp_path):
    path = config('det')

    for name in ('first', 'second'):
        browse(path, '--number', 2, '--out', tmp_path / name)

    first, second = (pictures(tmp_path / name) for name in ('first', 'second'))
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_overrides_reach_the_dataset(browse, config, tmp_path):
    words = ('--cfg-options', 'train_dataloader.dataset.indices=1')

    browse(config('cls'), '--out', tmp_path / 'out', *words)

    assert len(pictures(tmp_path / 'out')) == 1


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (('--number', 0), '--number 0 asks for no picture'),
        (('--cfg-options', 'train_dataloader.dataset.data_root=/no/where/'), "'/no/where/'"),
        (('--cfg-options', 'default_scope=mmpose'), "'mmpose'"),
    ],
)
def test_bad_input_is_answered_by_one_sentence_and_exit_code_2(
    browse, config, tmp_path, capsys, words, message
):
    with pytest.raises(SystemExit) as exit_:
        browse(config('cls'), '--out', tmp_path / 'out', *words)

    assert exit_.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith('error: ')
    assert message in line


def test_out_that_is_a_file_exits_with_code_2(browse, config, tmp_path, capsys):
    (tmp_path / 'out').write_text('')

    with pytest.raises(SystemExit) as exit_:
        browse(config('cls'), '--out', tmp_path / 'out')

    assert exit_.value.code == 2
    assert 'is no folder' in capsys.readouterr().err
