"""Tiny-ImageNet's validation images are listed with the classes of the training folders."""

import pytest
from public_layouts import write_tiny_imagenet


@pytest.fixture
def main(load_tool):
    """`main` of the tool."""
    return load_tool('dataset_converters/tiny_imagenet.py').main


@pytest.fixture
def folder(tmp_path):
    write_tiny_imagenet(tmp_path, listed=False)
    return tmp_path


def test_classes_are_numbered_by_their_folders(main, folder):
    main([str(folder)])

    lines = (folder / 'meta' / 'val.txt').read_text().splitlines()
    assert lines == ['val_0.JPEG 1', 'val_1.JPEG 0']


@pytest.mark.parametrize(
    ('break_it', 'message'),
    [
        (lambda f: (f / 'val/images/val_1.JPEG').unlink(), 'line 2: val/images/val_1.JPEG is miss'),
        (lambda f: (f / 'val/val_annotations.txt').unlink(), 'has no train folder or no val/'),
        (
            lambda f: (f / 'val/val_annotations.txt').write_text('val_0.JPEG\tn9\t0\t0\t1\t1\n'),
            "line 1: class 'n9' is none of the 2 folders",
        ),
    ],
)
def test_what_is_not_the_data_set_is_refused(main, folder, break_it, message, capsys):
    break_it(folder)
    with pytest.raises(SystemExit) as left:
        main([str(folder)])

    assert left.value.code == 2 and message in capsys.readouterr().err
    assert not (folder / 'meta').exists()
