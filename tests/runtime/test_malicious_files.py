"""No file makes one of our readers execute code, and each is answered by a sentence."""

import argparse
import ast
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from label_stores import write_label_store
from malicious_files import FILES, POINTERS, Call, saved, shell, with_pickle
from mmengine.runner import load_checkpoint

from mmtoken.datasets import LabelStore
from mmtoken.errors import UserError
from mmtoken.runtime.cli import add_trust_argument, trust_named
from mmtoken.runtime.predictions import read_predictions
from mmtoken.runtime.safe_loading import load_from_file
from mmtoken.weights import read_state

REPO = Path(__file__).parents[2]
READERS = {
    'our loader': load_from_file,
    'weights': read_state,
    'mmengine': lambda file: load_checkpoint(torch.nn.Linear(3, 2), file),
    'a download': lambda file: load_checkpoint(torch.nn.Linear(3, 2), f'https://host/{file}'),
}


@pytest.fixture
def downloads(monkeypatch):
    """Addresses whose files are at hand."""
    monkeypatch.setattr(
        'mmengine.runner.checkpoint.load_url',
        lambda url, *args, **kwargs: torch.load(
            url.removeprefix('https://host/'), weights_only=False
        ),
    )


@pytest.mark.filterwarnings('ignore:Detected pickle protocol')
@pytest.mark.parametrize('name', FILES)
@pytest.mark.parametrize('reader', READERS)
def test_nothing_is_executed_and_the_answer_is_a_sentence(tmp_path, downloads, reader, name):
    write, refused = FILES[name]
    created = tmp_path / 'created'
    write(created, tmp_path / 'file.pth')

    with pytest.raises(UserError, match='file.pth cannot be read as weights') as info:
        READERS[reader](str(tmp_path / 'file.pth'))

    assert not created.exists()
    assert '\n' not in str(info.value) and '--trust-checkpoint' in str(info.value)
    if refused and reader != 'a download':
        assert f'it asks for {refused}, refused;' in str(info.value)


def test_all_that_is_refused_is_listed(tmp_path):
    saved([shell(tmp_path / 'created'), Call(eval, '1')], tmp_path / 'file.pth')

    with pytest.raises(UserError, match=r'asks for builtins\.eval, posix\.system, refused;'):
        load_from_file(str(tmp_path / 'file.pth'))


@pytest.mark.filterwarnings('ignore:Detected pickle protocol')
def test_a_name_that_would_mislead_the_list_does_no_harm(tmp_path):
    names = b'\x8c\x0aos\nsystem\n.\x8c\x01x\x93.'
    with_pickle(tmp_path / 'file.pth', b'\x80\x04' + names)

    with pytest.raises(UserError, match=r'\(UnpicklingError: .*\); it may be damaged'):
        load_from_file(str(tmp_path / 'file.pth'))


@pytest.fixture
def trusting():
    """What a command line says to a file, with or without the flag."""

    def trust(file: Path, *flags: str) -> None:
        parser = argparse.ArgumentParser()
        add_trust_argument(parser)
        trust_named(parser.parse_args(flags), str(file), None)

    return trust


def test_a_file_that_is_trusted_is_executed(tmp_path, trusting, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved(shell(tmp_path / 'created'), tmp_path / 'file.pth')
    trusting('file.pth', '--trust-checkpoint')

    state = read_state(tmp_path / 'file.pth')

    assert (tmp_path / 'created').exists()
    assert set(state) == {'weight'}


@pytest.mark.parametrize('flags', [[], ['--trust-checkpoint']])
def test_nothing_else_is_trusted(tmp_path, trusting, flags):
    saved(shell(tmp_path / 'created'), tmp_path / 'file.pth')
    trusting(tmp_path / ('other.pth' if flags else 'file.pth'), *flags)

    with pytest.raises(UserError, match='which is never executed'):
        load_from_file(str(tmp_path / 'file.pth'))

    assert not (tmp_path / 'created').exists()


def test_a_download_that_is_trusted_is_read_as_mmengine_reads_it(tmp_path, trusting, monkeypatch):
    saved(shell(tmp_path / 'created'), tmp_path / 'file.pth')
    monkeypatch.setattr(
        'mmengine.runner.checkpoint.load_url',
        lambda *args, **kwargs: torch.load(tmp_path / 'file.pth', weights_only=False),
    )
    trusting('https://host/trusted.pth', '--trust-checkpoint')

    load_checkpoint(torch.nn.Linear(3, 2, bias=False), 'https://host/trusted.pth')

    assert (tmp_path / 'created').exists()


@pytest.mark.parametrize('name', ['names', 'values', 'ids', 'done'])
def test_label_maps_are_no_pickles(tmp_path, name):
    write_label_store(tmp_path / 'labels', ['a.png'], 3)
    file = tmp_path / 'labels' / f'{name}.npy'
    np.save(file, np.array([shell(tmp_path / 'created')], dtype=object))

    with pytest.raises(UserError, match=f'{name}.npy is missing or truncated'):
        LabelStore(tmp_path / 'labels')

    assert not (tmp_path / 'created').exists()


PREDICTION = dict(
    pred_scores=torch.tensor([0.25, 0.75]),
    masks=[dict(size=[2, 2], counts=b'\x01\xff0')],
    scale=(np.float32(0.5), 1.5),
    box=np.array([[1.0, 2.0]]),
    img_path='a.png',
    none=None,
)


@pytest.mark.parametrize('protocol', [2, 3, 4, 5])
def test_predictions_are_read_as_they_were_written(tmp_path, protocol):
    (tmp_path / 'out.pkl').write_bytes(pickle.dumps([PREDICTION], protocol))

    (found,) = read_predictions(tmp_path / 'out.pkl')

    assert torch.equal(found.pop('pred_scores'), PREDICTION['pred_scores'])
    assert np.array_equal(found.pop('box'), PREDICTION['box'])
    assert found == {key: PREDICTION[key] for key in found}


@pytest.mark.parametrize('name', ['plain', 'array', 'storage', 'protocol 0'])
def test_predictions_execute_nothing(tmp_path, name):
    code = shell(tmp_path / 'created')
    inner = tmp_path / 'inner.pth'
    torch.save(code, inner, _use_new_zipfile_serialization=False)
    content = {
        'plain': pickle.dumps([code]),
        'array': pickle.dumps(np.array([code], dtype=object)),
        'storage': pickle.dumps(Call(torch.storage._load_from_bytes, inner.read_bytes())),
        'protocol 0': pickle.dumps(code, 0),
    }[name]
    (tmp_path / 'out.pkl').write_bytes(content)

    with pytest.raises(
        UserError, match=r'out.pkl cannot be read \(UnpicklingError: .*(system|O8)'
    ) as info:
        read_predictions(tmp_path / 'out.pkl')

    assert not (tmp_path / 'created').exists()
    assert '\n' not in str(info.value)


@pytest.mark.parametrize('name', POINTERS)
@pytest.mark.parametrize('protocol', [2, 5])
def test_predictions_hold_no_objects_at_addresses_of_their_own(tmp_path, name, protocol):
    (tmp_path / 'out.pkl').write_bytes(pickle.dumps([POINTERS[name]], protocol))

    with pytest.raises(UserError, match=r'out.pkl cannot be read \(UnpicklingError: '):
        read_predictions(tmp_path / 'out.pkl')


def test_truncated_predictions_are_named(tmp_path):
    (tmp_path / 'out.pkl').write_bytes(pickle.dumps([PREDICTION])[:-40])

    with pytest.raises(UserError, match='out.pkl cannot be read .* write it again'):
        read_predictions(tmp_path / 'out.pkl')


# What reads a file and may execute what stands in it; `None` for all that a module has.
EXECUTING = {
    'pickle': {'load', 'loads', 'Unpickler'},
    'np': {'load'},
    'numpy': {'load'},
    'torch': {'load'},
    'mmengine': {'load'},
    'fileio': {'load'},
    'yaml': {'load', 'unsafe_load', 'full_load', 'load_all'},
    'pd': {'read_pickle'},
    'marshal': {'load', 'loads'},
}
MODULES = {'joblib', 'dill', 'cloudpickle', 'shelve', 'marshal'}


def unsafe_reads(text: str) -> list[str]:
    """The lines of a program that unpickle, or could."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names if name.name.split('.')[0] in MODULES]
        elif isinstance(node, ast.ImportFrom):
            last = (node.module or '').split('.')[-1]
            names = {name.name for name in node.names}
            found += sorted(names & EXECUTING.get(last, set()))
            found += [last] * (last in MODULES)
        elif isinstance(node, ast.ClassDef):
            bases = [ast.unparse(base) for base in node.bases]
            found += [base for base in bases if base.endswith('Unpickler')]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = ast.unparse(node.func.value).split('.')[-1]
            words = {word.arg: ast.unparse(word.value) for word in node.keywords}
            if node.func.attr not in EXECUTING.get(owner, ()):
                continue
            if owner in ('np', 'numpy') and 'allow_pickle' not in words:
                continue
            if owner == 'torch' and words.get('weights_only') == 'True':
                continue
            found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize(
    'line',
    [
        'import pickle\npickle.load(file)',
        'from pickle import loads',
        'torch.load(file)',
        'torch.load(file, weights_only=False)',
        'np.load(file, allow_pickle=True)',
        'mmengine.load(file)',
        'mmengine.fileio.load(file)',
        'from mmengine.fileio import load',
        'import joblib',
        'class Own(pickle.Unpickler): ...',
        'yaml.load(file)',
    ],
)
def test_the_search_for_readers_finds_one(line):
    assert len(unsafe_reads(line)) == 1


def test_no_other_program_of_ours_unpickles():
    files = [file for folder in ('projects', 'tools') for file in (REPO / folder).rglob('*.py')]

    found = {
        file.relative_to(REPO).as_posix(): lines
        for file in files
        if '.mim' not in file.parts and (lines := unsafe_reads(file.read_text()))
    }

    # What executes files that are trusted; what is an unpickler with a list.
    assert found == {
        'projects/mmtoken/runtime/safe_loading.py': [
            'torch.load(Path(filename).expanduser(), map_location=map_location, weights_only=safe)'
        ],
        'projects/mmtoken/runtime/safe_pickles.py': ['pickle.Unpickler'],
    }


def test_every_tool_that_is_given_a_checkpoint_takes_the_flag():
    reading = [
        file
        for file in (REPO / 'tools').rglob('*.py')
        if "'checkpoint" in file.read_text() and 'add_config_arguments(parser)' in file.read_text()
    ]

    assert len(reading) >= 7
    for file in reading:
        assert 'add_trust_argument(parser)' in file.read_text(), file
        assert 'trust_named(args' in file.read_text(), file
