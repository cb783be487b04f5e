"""tools/analysis_tools/probe.py: what it reads, prints and writes, and what it answers."""

import json

import pytest
import torch
from probe_scenes import write_classifier, write_scenes, write_segmentor


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """A folder with scenes, the config of a segmentor on them, and that of a classifier."""
    folder = tmp_path_factory.mktemp('probe')
    write_scenes(folder)
    write_segmentor(folder, folder / 'segmentor.py')
    write_classifier(folder / 'classifier.py')
    return folder


@pytest.fixture
def call(load_tool, place):
    """A function that calls the tool on configs of the folder."""

    def run(config, *words):
        return load_tool('analysis_tools/probe.py').main([str(place / config), *map(str, words)])

    return run


@pytest.fixture
def answer(call, capsys):
    """A function that calls the tool, which must refuse, and returns its sentence."""

    def run(*words):
        with pytest.raises(SystemExit) as exit_:
            call(*words)
        assert exit_.value.code == 2
        return capsys.readouterr().err.strip().splitlines()[-1]

    return run


def test_a_table_is_printed_and_the_numbers_are_written(call, capsys, tmp_path):
    file = tmp_path / 'probe.json'

    report = call('segmentor.py', 'none', '--out', file)

    written = json.loads(file.read_text())
    assert written == json.loads(json.dumps(report))
    printed = capsys.readouterr().out
    assert f'{written["logreg"]["mIoU"]:.2f}' in printed
    assert 'green' in printed
    assert written['command'][-2:] == ['--out', str(file)]


def test_a_checkpoint_is_read_and_named(call, tmp_path):
    from mmengine.config import Config

    from mmtoken.experiments.probe_backbone import build_frozen_backbone
    from mmtoken.tasks.task import file_digest

    random = call('segmentor.py', '--random-init', 4)
    backbone = build_frozen_backbone(Config.fromfile(random['config']), None, seed=4)
    file = tmp_path / 'x.pth'
    torch.save({f'backbone.{name}': value for name, value in backbone.state_dict().items()}, file)

    loaded = call('segmentor.py', file)

    assert loaded['knn'] == random['knn']
    assert (loaded['checkpoint'], loaded['digest']) == (str(file), file_digest(file))


def test_a_classifier_is_probed_on_other_data(call, place):
    report = call('classifier.py', 'none', '--data', place / 'segmentor.py')

    assert report['knn']['mIoU'] > 95


def test_options_reach_the_backbone_and_the_data(call, place):
    options = ['--cfg-options', 'model.backbone.patch_size=16']
    of_data = ['--data-cfg-options', 'train_dataloader.dataset.indices=11']

    report = call('classifier.py', 'none', '--data', place / 'segmentor.py', *options, *of_data)

    assert report['grid'] == (2, 2)
    assert len(report['train']['scenes']) == 11


@pytest.mark.parametrize('content', ['[2, 3, 4, 5, 6, 7, 8, 9, 10, 11]', '2 3 4 5 6 7 8 9 10\n11'])
def test_a_file_lists_the_training_scenes(call, tmp_path, content):
    file = tmp_path / 'scenes.json'
    file.write_text(content)

    report = call('segmentor.py', 'none', '--train-scenes', file)

    assert report['train']['scenes'] == [*range(2, 12)]


def test_scenes_are_counted_or_named(call):
    counted = call('segmentor.py', 'none', '--train-scenes', 10, '--test-scenes', 2)
    named = call('segmentor.py', 'none', '--indices', *range(1, 12))

    assert (counted['train']['scenes'], counted['test']['scenes']) == ([*range(10)], 2)
    assert named['train']['scenes'] == [*range(1, 12)]


def test_patches_that_are_left_out_are_told(call, capsys):
    call('segmentor.py', 'none', '--max-patches', 24)

    assert 'note: 24 of 192 training patches were used' in capsys.readouterr().out


def test_no_weights_are_refused(answer):
    assert 'name a checkpoint, or use --random-init 0' in answer('segmentor.py')


def test_weights_and_random_ones_are_refused(answer):
    sentence = answer('segmentor.py', 'x.pth', '--random-init', '1')

    assert "--random-init 1 and the checkpoint 'x.pth' exclude each other" in sentence


def test_a_classifier_without_data_is_refused(answer):
    assert 'no segmentation data to probe on' in answer('classifier.py', 'none')


def test_options_of_no_data_are_refused(answer):
    sentence = answer('segmentor.py', 'none', '--data-cfg-options', 'default_scope=mmseg')

    assert '--data-cfg-options needs --data' in sentence


def test_data_that_are_not_there_are_refused(answer, tmp_path):
    option = f'test_dataloader.dataset.data_root={tmp_path / "no"}'

    sentence = answer('segmentor.py', 'none', '--cfg-options', option)

    assert 'test_dataloader.dataset.data_root' in sentence and 'does not exist' in sentence


def test_a_checkpoint_that_is_not_there_is_refused(answer):
    assert 'checkpoint no.pth does not exist' in answer('segmentor.py', 'no.pth')


@pytest.mark.parametrize(
    ('content', 'said'), [(None, 'neither a number of scenes nor a file'), ('{"a": 1}', 'else')]
)
def test_scenes_that_are_not_listed_are_refused(answer, tmp_path, content, said):
    file = tmp_path / 'scenes.json'
    if content:
        file.write_text(content)

    assert said in answer('segmentor.py', 'none', '--train-scenes', file)


def test_a_folder_that_is_not_there_is_told_before_anything_is_computed(answer, tmp_path):
    sentence = answer('segmentor.py', 'no.pth', '--out', tmp_path / 'no' / 'probe.json')

    assert 'its folder does not exist' in sentence
