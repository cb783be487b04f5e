"""tools/dataset_converters/make_token_labels.py, and training on what it makes."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmpretrain.datasets import CustomDataset
from mmpretrain.registry import DATASETS, MODELS
from PIL import Image

from mmtoken.datasets import LabelStore, LabelStoreWriter, train_images
from mmtoken.datasets.annotator import position_scores

REPO = Path(__file__).parents[2]
LEAF = REPO / 'configs' / 'digits' / 'life-d6w96_digits-cls.py'
ARCH = dict(embed_dims=24, num_layers=2, num_heads=3, feedforward_channels=48)


@pytest.fixture
def make(load_tool):
    """`main` of the tool, taking the command line's words."""
    main = load_tool('dataset_converters/make_token_labels.py').main
    return lambda *words: main([str(word) for word in words])


@pytest.fixture
def config(tmp_path, digit_scenes) -> Config:
    """The small classifier of digits, made smaller, over a tiny data set."""
    cfg = Config.fromfile(LEAF)
    cfg.model.backbone.arch = ARCH
    cfg.model.backbone.init_cfg = None
    cfg.model.head.in_channels = 24
    for split in ('train', 'val', 'test'):
        cfg[f'{split}_dataloader'].dataset.data_root = f'{digit_scenes}/classification/'
    cfg.dump(tmp_path / 'small.py')
    return Config.fromfile(tmp_path / 'small.py')


@pytest.fixture
def checkpoint(tmp_path, config) -> Path:
    """Random weights of it."""
    torch.manual_seed(0)
    init_default_scope('mmpretrain')
    model = MODELS.build(dict(config.model, data_preprocessor=config.data_preprocessor))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    torch.save(model.state_dict(), tmp_path / 'random.pth')
    return tmp_path / 'random.pth'


@pytest.fixture
def masks(tmp_path, digit_scenes) -> Path:
    """A mask for every training image: its class on the left half, background on the right."""
    folder = tmp_path / 'masks'
    for image in (digit_scenes / 'classification' / 'train').rglob('*.png'):
        mask = np.zeros((64, 64), np.uint8)
        mask[:, :32] = 1 + int(image.parent.name)
        (folder / image.parent.name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask).save(folder / image.parent.name / image.name)
    return folder


def train_step(config, store, classes, digit_scenes, **model):
    """The losses of a batch with label maps, of the config's pipeline around them."""
    init_default_scope('mmpretrain')
    dataset = config.train_dataloader.dataset
    _, *augmentation, _ = dataset.pipeline
    images = f'{digit_scenes}/classification/train'
    dataset.pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadTokenLabels', store=str(store), images=images, num_classes=classes),
        dict(type='TrackAffine', transforms=augmentation),
        dict(type='PackTokenLabels'),
    ]
    built = DATASETS.build(dataset)
    model = MODELS.build(
        dict(
            type='TokenLabelClassifier',
            backbone=dict(config.model.backbone, out_type='raw'),
            head=dict(
                type='TokenLabelHead', num_classes=10, num_token_classes=classes, in_channels=24
            ),
            data_preprocessor=config.data_preprocessor,
            **model,
        )
    )
    data = model.data_preprocessor(pseudo_collate([built[i] for i in range(8)]), training=True)
    targets = model.targets(data['data_samples'], (8, 8))
    return model(**data, mode='loss'), targets


def test_an_annotators_maps_are_its_scores(make, config, checkpoint, tmp_path, digit_scenes):
    make(config.filename, checkpoint, '--out', tmp_path / 'labels', '--top-k', 3, '--workers', 0)

    store = LabelStore(tmp_path / 'labels')
    assert (store.manifest.count, store.manifest.grid, store.manifest.classes) == (40, (8, 8), 10)
    name = store._names[7].decode()
    values, ids = store.read(7)
    model = MODELS.build(dict(config.model, data_preprocessor=config.data_preprocessor)).eval()
    model.load_state_dict(torch.load(checkpoint, weights_only=True))
    image = np.asarray(Image.open(digit_scenes / 'classification' / 'train' / name))
    # Files are read as BGR, and turned to RGB by the preprocessor.
    pixels = torch.from_numpy(image[:, :, ::-1].copy()).permute(2, 0, 1)
    with torch.no_grad():
        scores = position_scores(model, model.data_preprocessor(dict(inputs=[pixels]))['inputs'])
    expected, places = scores[0].topk(3, dim=0)
    torch.testing.assert_close(torch.from_numpy(values).float(), expected, rtol=2e-3, atol=2e-3)
    assert np.array_equal(ids, places.numpy())


def test_an_interrupted_call_goes_on(make, config, checkpoint, tmp_path, monkeypatch):
    words = (config.filename, checkpoint, '--out', tmp_path / 'labels', '--workers', 0,
             '--batch-size', 16)  # fmt: skip
    write, calls = LabelStoreWriter.write, []

    def stop(self, indices, values, ids):
        calls.append(len(indices))
        if len(calls) == 2:
            raise KeyboardInterrupt
        write(self, indices, values, ids)

    monkeypatch.setattr(LabelStoreWriter, 'write', stop)
    with pytest.raises(KeyboardInterrupt):
        make(*words)
    make(*words)

    # The first batch once, the second twice.
    assert calls == [16, 16, 16, 8]
    assert LabelStore(tmp_path / 'labels').manifest.count == 40


def test_a_classifier_is_trained_on_an_annotators_maps(
    make, config, checkpoint, tmp_path, digit_scenes
):
    make(config.filename, checkpoint, '--out', tmp_path / 'labels', '--workers', 0)

    losses, (scores, patches) = train_step(config, tmp_path / 'labels', 10, digit_scenes)

    assert set(losses) == {'loss_cls', 'loss_token'}
    assert scores.shape == (8, 10) and patches.shape == (8, 64, 10)
    torch.testing.assert_close(patches.sum(-1), torch.ones(8, 64))


def test_a_classifier_is_trained_on_masks(make, config, masks, tmp_path, digit_scenes):
    make(config.filename, '--from-masks', masks, '--num-classes', 10, '--grid', 8,
         '--out', tmp_path / 'labels', '--workers', 0)  # fmt: skip

    losses, (scores, patches) = train_step(config, tmp_path / 'labels', 11, digit_scenes)

    assert set(losses) == {'loss_cls', 'loss_token'}
    rows = patches.view(8, 8, 8, 11)
    # Crops keep the class at the left edge, and background at the right one.
    assert torch.equal(rows[:, :, 0].argmax(-1), scores.argmax(1)[:, None].expand(-1, 8))
    assert (rows[:, :, -1].argmax(-1) == 10).all()


def test_masks_of_another_size_than_their_images_are_refused(make, config, masks, tmp_path, capsys):
    Image.fromarray(np.zeros((32, 48), np.uint8)).save(masks / '3/000003.png')
    with pytest.raises(SystemExit):
        make(config.filename, '--from-masks', masks, '--num-classes', 10, '--grid', 8,
             '--out', tmp_path / 'labels', '--workers', 0)  # fmt: skip

    said = capsys.readouterr().err
    assert '3/000003.png has 48x32 pixels and the image 64x64, as it is loaded; give' in said


def test_images_that_are_loaded_turned_have_masks_that_are(make, config, tmp_path, digit_scenes):
    from mmtoken.datasets.train_images import TrainImages

    folder, masks = tmp_path / 'images', tmp_path / 'masks'
    for place in (folder / '0', masks / '0'):
        place.mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new('RGB', (48, 32)).save(folder / '0/1.jpg', exif=exif)
    Image.fromarray(np.zeros((48, 32), np.uint8)).save(masks / '0/1.png')
    (tmp_path / 'list.txt').write_text('0/1.jpg 0\n')
    cfg = Config.fromfile(config.filename)
    cfg.train_dataloader.dataset.update(
        data_root='', data_prefix=str(folder), ann_file=str(tmp_path / 'list.txt')
    )
    cfg.dump(tmp_path / 'turned.py')
    init_default_scope('mmpretrain')
    assert TrainImages(cfg, 8).names == ['0/1.jpg']

    make(tmp_path / 'turned.py', '--from-masks', masks, '--num-classes', 10, '--grid', 4,
         '--out', tmp_path / 'labels', '--workers', 0)  # fmt: skip

    assert LabelStore(tmp_path / 'labels').manifest.count == 1


def test_masks_with_workers_are_the_same(make, config, masks, tmp_path):
    words = (config.filename, '--from-masks', masks, '--num-classes', 10, '--grid', 4, 6)
    for workers in (0, 2):
        make(*words, '--out', tmp_path / str(workers), '--workers', workers)

    stores = [LabelStore(tmp_path / str(workers)) for workers in (0, 2)]
    for index in range(40):
        first, second = (store.read(index) for store in stores)
        assert all(np.array_equal(*pair) for pair in zip(first, second, strict=True))


def test_maps_of_other_classes_are_refused_when_the_pipeline_is_built(
    make, config, masks, tmp_path, digit_scenes
):
    make(config.filename, '--from-masks', masks, '--num-classes', 10, '--grid', 8,
         '--out', tmp_path / 'labels', '--workers', 0)  # fmt: skip

    with pytest.raises(ValueError, match='have 11 classes, the config 10; set num_classes of Load'):
        train_step(config, tmp_path / 'labels', 10, digit_scenes)


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        ((), 'label maps come either from an annotator or from masks'),
        (('w.pth', '--from-masks', 'm'), 'label maps come either from an annotator or from masks'),
        (('w.pth', '--top-k', 0), '--top-k 0 is too small'),
        (('w.pth', '--workers', -1), '--workers -1 is too small'),
        (('w.pth',), 'checkpoint w.pth does not exist'),
        (('w.pth', '--device', 'gpu'), "--device 'gpu' is not here; use cpu"),
        (('w.pth', '--device', 'cuda:77'), "--device 'cuda:77' is not here; use cpu"),
        (('--from-masks', 'nowhere'), '--from-masks nowhere does not exist'),
        (('--from-masks', '.'), '--from-masks wants --num-classes'),
        (('--from-masks', '.', '--num-classes', 10, '--grid', 0), '--from-masks wants'),
        (
            ('--from-masks', '.', '--num-classes', 10, '--grid', 8),
            '. has no mask of 40 of 40 training',
        ),
    ],
)
def test_bad_input_is_answered_by_one_sentence_and_exit_code_2(
    make, config, tmp_path, capsys, words, message
):
    with pytest.raises(SystemExit) as exit_:
        make(config.filename, *words, '--out', tmp_path / 'labels')

    assert exit_.value.code == 2
    assert f'error: {message}' in capsys.readouterr().err


def test_other_maps_are_replaced_only_when_asked(make, config, masks, tmp_path, capsys):
    words = (config.filename, '--from-masks', masks, '--num-classes', 10, '--workers', 0,
             '--out', tmp_path / 'labels')  # fmt: skip
    make(*words, '--grid', 8)

    with pytest.raises(SystemExit):
        make(*words, '--grid', 4)
    assert 'label maps of another grid' in capsys.readouterr().err
    make(*words, '--grid', 4, '--overwrite')

    assert LabelStore(tmp_path / 'labels').manifest.grid == (4, 4)


def test_nothing_is_removed_before_all_else_fits(make, config, masks, tmp_path, capsys):
    words = (config.filename, '--from-masks', masks, '--num-classes', 10, '--workers', 0,
             '--grid', 8, '--out', tmp_path / 'labels')  # fmt: skip
    make(*words)
    (tmp_path / 'labels' / 'mine.txt').write_text('kept')

    with pytest.raises(SystemExit):
        make(config.filename, tmp_path / 'no.pth', '--out', tmp_path / 'labels', '--overwrite')
    assert 'does not exist' in capsys.readouterr().err
    assert LabelStore(tmp_path / 'labels').manifest.grid == (8, 8)
    make(*words, '--overwrite')

    assert LabelStore(tmp_path / 'labels').manifest.count == 40
    assert (tmp_path / 'labels' / 'mine.txt').read_text() == 'kept'


def test_another_way_to_write_a_path_is_the_same_source(make, config, masks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, folder in (('small.py', 'masks'), ('./small.py', tmp_path / 'masks')):
        make(name, '--from-masks', folder, '--num-classes', 10, '--workers', 0, '--grid', 8,
             '--out', 'labels')  # fmt: skip

    assert LabelStore('labels').manifest.source['masks'] == 'masks'


def change(config, dataset, folder):
    """The config with another training set."""
    config.train_dataloader.dataset = dataset
    config.dump(folder / 'changed.py')
    return folder / 'changed.py'


def test_several_data_sets_are_refused(make, config, masks, tmp_path, capsys):
    sets = dict(type='ConcatDataset', datasets=[config.train_dataloader.dataset] * 2)

    with pytest.raises(SystemExit):
        make(change(config, sets, tmp_path), '--from-masks', masks, '--num-classes', 10,
             '--grid', 8, '--out', tmp_path / 'labels')  # fmt: skip
    assert 'trains on several data sets (ConcatDataset)' in capsys.readouterr().err


def test_images_that_are_no_files_are_refused(make, config, masks, tmp_path, capsys):
    class Drawn(CustomDataset):
        def load_data_list(self):
            return [dict(img=np.zeros((8, 8, 3)), gt_label=0)]

    DATASETS.register_module(module=Drawn, force=True)
    drawn = dict(config.train_dataloader.dataset, type='Drawn')

    with pytest.raises(SystemExit):
        make(change(config, drawn, tmp_path), '--from-masks', masks, '--num-classes', 10,
             '--grid', 8, '--out', tmp_path / 'labels')  # fmt: skip
    assert 'Drawn has its images in no files of their own' in capsys.readouterr().err


def test_the_size_of_wrapped_and_tracked_images_is_found(load_tool, config):
    tool = load_tool('dataset_converters/make_token_labels.py')
    track = dict(type='TrackAffine', transforms=[dict(type='RandomResizedCrop', scale=48)])
    config.train_dataloader.dataset.pipeline = [dict(type='LoadImageFromFile'), track]

    assert tool.trained_size(config) == 48
    choice = dict(type='RandomChoice', transforms=[[dict(type='Resize', scale=40)], [track]])
    config.train_dataloader.dataset.pipeline.append(choice)
    assert tool.trained_size(config) == 48
    wrapped = dict(type='RepeatDataset', times=2, dataset=config.train_dataloader.dataset)
    config.train_dataloader.dataset = wrapped
    assert tool.trained_size(config) == 48


@pytest.fixture
def spoiled(config, tmp_path, digit_scenes):
    """The config over a copy of its data in which one image of 40 is cut, and that image."""
    shutil.copytree(digit_scenes / 'classification', tmp_path / 'data')
    [image] = (tmp_path / 'data' / 'train').rglob('000003.png')
    whole = image.read_bytes()
    image.write_bytes(whole[:100])
    dataset = dict(config.train_dataloader.dataset, data_root=f'{tmp_path}/data/')
    return change(config, dataset, tmp_path), image, whole


@pytest.mark.parametrize('workers', [0, 2])
def test_an_image_that_cannot_be_read_is_named_when_the_others_are_done(
    make, spoiled, checkpoint, tmp_path, capsys, monkeypatch, workers
):
    monkeypatch.setattr(train_images, 'MOST_UNREADABLE', 0.1)
    file, image, whole = spoiled
    words = (file, checkpoint, '--out', tmp_path / 'labels', '--workers', workers)

    with pytest.raises(SystemExit):
        make(*words)

    said = ' '.join(capsys.readouterr().err.split())
    assert f'1 of 40 images could not be read and have no label map: {image} is truncated' in said
    assert np.load(tmp_path / 'labels' / 'done.npy').sum() == 39
    image.write_bytes(whole)
    make(*words)
    assert LabelStore(tmp_path / 'labels').manifest.count == 40


def test_an_image_that_masks_are_of_and_cannot_be_read_is_named(
    make, spoiled, masks, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(train_images, 'MOST_UNREADABLE', 0.1)
    file, image, _ = spoiled
    image.write_bytes(b'words')

    with pytest.raises(SystemExit):
        make(file, '--from-masks', masks, '--num-classes', 10, '--grid', 8,
             '--out', tmp_path / 'labels', '--workers', 0)  # fmt: skip

    assert f'{image} cannot be read (UnidentifiedImageError' in capsys.readouterr().err
    assert np.load(tmp_path / 'labels' / 'done.npy').sum() == 39


def test_more_unreadable_images_than_in_training_end_a_call_at_once(
    make, spoiled, checkpoint, tmp_path, capsys
):
    with pytest.raises(SystemExit):
        make(spoiled[0], checkpoint, '--out', tmp_path / 'labels', '--workers', 0,
             '--batch-size', 8)  # fmt: skip

    assert '1 of 40 images could not be read' in capsys.readouterr().err
    assert np.load(tmp_path / 'labels' / 'done.npy').sum() < 39


def test_an_image_outside_of_the_folder_is_refused_at_once(
    make, config, checkpoint, tmp_path, digit_scenes, capsys
):
    [image] = (digit_scenes / 'classification' / 'train').rglob('000003.png')
    (tmp_path / 'list.txt').write_text(f'{image} 0\n')
    dataset = dict(
        config.train_dataloader.dataset,
        data_root='',
        data_prefix=str(tmp_path),
        ann_file=str(tmp_path / 'list.txt'),
    )

    with pytest.raises(SystemExit):
        make(change(config, dataset, tmp_path), checkpoint, '--out', tmp_path / 'labels')

    assert f'{image} is not in {tmp_path}, the folder of the images' in ' '.join(
        capsys.readouterr().err.split()
    )
    assert not (tmp_path / 'labels').exists()


def test_a_worker_that_the_system_killed_is_explained(
    make, config, checkpoint, tmp_path, capsys, monkeypatch
):
    def killed(self, indices, values, ids):
        raise RuntimeError('DataLoader worker (pid 7) is killed by signal: Killed. ')

    monkeypatch.setattr(LabelStoreWriter, 'write', killed)
    with pytest.raises(SystemExit) as end:
        make(config.filename, checkpoint, '--out', tmp_path / 'labels', '--workers', 0,
             '--batch-size', 16)  # fmt: skip

    said = ' '.join(capsys.readouterr().err.split())
    assert end.value.code == 2
    assert 'killed by signal: Killed, mostly because memory ran out; lower' in said
    assert 'num_workers (0) or batch_size (16)' in said
