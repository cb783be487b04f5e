"""The model index of LIFE says of every config what its name and folder say of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
INDEX = yaml.safe_load((ROOT / 'configs/life/metafile.yml').read_text(encoding='utf-8'))


@pytest.fixture(params=INDEX['Models'], ids=lambda entry: entry['Name'])
def entry(request: pytest.FixtureRequest) -> dict:
    """One model of the index after the other."""
    return request.param


def test_index_lists_every_config_once() -> None:
    listed = [entry['Config'] for entry in INDEX['Models']]

    assert sorted(listed) == sorted(
        path.relative_to(ROOT).as_posix() for path in (ROOT / 'configs/life').glob('*.py')
    )


def test_entry_is_named_like_its_config(entry: dict) -> None:
    assert entry['Name'] == Path(entry['Config']).stem


def test_entry_belongs_to_a_collection(entry: dict) -> None:
    assert entry['In Collection'] in [collection['Name'] for collection in INDEX['Collections']]


def test_results_are_labelled_as_the_papers(entry: dict) -> None:
    for result in entry['Results'] or []:
        assert all(metric.endswith('(paper)') for metric in result['Metrics'])


def test_collection_has_a_readme() -> None:
    assert all((ROOT / collection['README']).is_file() for collection in INDEX['Collections'])
