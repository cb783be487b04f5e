"""The model indexes say of every config what its name and folder say of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

ROOT = Path(__file__).resolve().parents[2]
INDEXES = {
    path.parent: yaml.safe_load(path.read_text(encoding='utf-8'))
    for path in sorted((ROOT / 'configs').glob('*/metafile.yml'))
}
ENTRIES = [entry for index in INDEXES.values() for entry in index['Models']]
COLLECTIONS = [
    collection for index in INDEXES.values() for collection in index.get('Collections', ())
]
TASKS = {
    'mmpretrain': {'Image Classification'},
    'mmdet': {'Object Detection', 'Instance Segmentation'},
    'mmseg': {'Semantic Segmentation'},
}


@pytest.fixture(params=ENTRIES, ids=lambda entry: entry['Name'])
def entry(request: pytest.FixtureRequest) -> dict:
    """One model of the index after the other."""
    return request.param


def test_model_index_imports_every_index() -> None:
    imported = yaml.safe_load((ROOT / 'model-index.yml').read_text(encoding='utf-8'))['Import']

    assert sorted(imported) == [
        (folder / 'metafile.yml').relative_to(ROOT).as_posix() for folder in INDEXES
    ]


@pytest.mark.parametrize('folder', INDEXES, ids=lambda folder: folder.name)
def test_index_lists_every_config_once(folder: Path) -> None:
    listed = [entry['Config'] for entry in INDEXES[folder]['Models']]

    assert sorted(listed) == sorted(
        path.relative_to(ROOT).as_posix() for path in folder.glob('*.py')
    )


def test_every_folder_of_leaf_configs_has_an_index() -> None:
    folders = {path.parent for path in (ROOT / 'configs').glob('*/*.py')}

    assert folders - {ROOT / 'configs' / '_base_'} == set(INDEXES)


def test_entry_names_the_tasks_of_its_model(entry: dict) -> None:
    """mmpretrain chooses its inferencer by the task, and `get_model` offers classifiers alone."""
    cfg = Config.fromfile(ROOT / entry['Config'], import_custom_modules=False)
    tasks = TASKS[cfg.default_scope]
    if cfg.default_scope == 'mmdet' and cfg.model.roi_head.mask_head is None:
        tasks = tasks - {'Instance Segmentation'}

    assert {result['Task'] for result in entry['Results']} == tasks


def test_entry_is_named_like_its_config(entry: dict) -> None:
    assert entry['Name'] == Path(entry['Config']).stem


def test_entry_belongs_to_a_collection(entry: dict) -> None:
    assert entry['In Collection'] in [collection['Name'] for collection in COLLECTIONS]


def test_results_are_labelled_as_the_papers(entry: dict) -> None:
    for result in entry['Results']:
        assert all(metric.endswith('(paper)') for metric in result['Metrics'])


def test_collection_has_a_readme() -> None:
    assert all((ROOT / collection['README']).is_file() for collection in COLLECTIONS)
