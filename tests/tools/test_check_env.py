"""What check_env.py says of installations that lack or mix something."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torchvision.ops import roi_align

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'misc' / 'check_env.py'


@pytest.fixture(scope='module')
def check_env():
    spec = importlib.util.spec_from_file_location('check_env', TOOL)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def correct_roi_align(feature_map, rois, size, scale, samples, mode, aligned):
    return roi_align(feature_map, rois, size, scale, samples, aligned)


def faulty_roi_align(feature_map, *args):
    """Reads the memory of a map as if it were contiguous."""
    flat = feature_map.as_strided((feature_map.numel(),), (1,))
    return correct_roi_align(flat.view(feature_map.shape), *args)


def fail_import(monkeypatch, check_env, broken: str, error: Exception) -> None:
    """Let the import of one module fail and leave all others alone."""
    real = check_env.importlib.import_module

    def import_module(name):
        if name == broken:
            raise error
        return real(name)

    monkeypatch.setattr(check_env.importlib, 'import_module', import_module)


def test_usable_installation_exits_with_0(check_env, capsys):
    code = check_env.main()

    assert code == 0, capsys.readouterr().err


def test_interpreter_without_any_dependency_gets_sentences_and_exit_code_2():
    result = subprocess.run([sys.executable, '-I', '-S', TOOL], capture_output=True, text=True)

    assert result.returncode == 2
    assert 'error: no OpenMMLab library is installed' in result.stderr
    assert 'Traceback' not in result.stderr


def test_old_python_is_named(check_env):
    (finding,) = check_env.check_python((3, 9, 1))

    assert finding.problem.startswith('Python 3.9.1 is older than 3.10')


def test_torchvision_of_another_torch_is_explained(check_env, monkeypatch):
    error = RuntimeError('operator torchvision::nms does not exist\nmore')
    fail_import(monkeypatch, check_env, 'torchvision', error)

    problem = check_env.check_torch()[-1].problem

    assert '(operator torchvision::nms does not exist); install the pair' in problem


def test_opencv_without_its_desktop_library_recommends_the_headless_build(check_env, monkeypatch):
    fail_import(monkeypatch, check_env, 'cv2', ImportError('libGL.so.1: cannot open'))

    (finding,) = check_env.check_opencv()

    assert 'libGL.so.1' in finding.problem
    assert 'opencv-python-headless' in finding.problem


def test_operators_compiled_for_another_torch_ask_for_a_rebuild(check_env, monkeypatch):
    fail_import(monkeypatch, check_env, 'mmcv.ops', ImportError('undefined symbol: _ZN3c10'))

    (finding,) = check_env.check_mmcv_ops()

    assert 'undefined symbol: _ZN3c10' in finding.problem
    assert '`make env`' in finding.problem


def test_gpu_that_torch_cannot_use_is_noted(check_env, monkeypatch):
    monkeypatch.setattr(check_env.shutil, 'which', lambda name: f'/usr/bin/{name}')
    fake = SimpleNamespace(
        version=SimpleNamespace(cuda='13.0'), cuda=SimpleNamespace(is_available=lambda: False)
    )

    assert 'install a driver for CUDA 13.0' in check_env.describe_cuda(fake).note


def test_roi_align_that_honors_the_layout_is_not_blamed(check_env):
    assert not check_env.misreads_channels_last(torch, correct_roi_align)


def test_roi_align_that_ignores_the_layout_is_reported(check_env):
    finding = check_env.describe_roi_align(torch, faulty_roi_align)

    assert 'misreads channels-last' in finding.state
    assert 'contiguous' in finding.note


def test_same_problem_is_printed_once(check_env, capsys):
    finding = check_env.Finding('torch', 'missing', 'torch is missing; install it')

    assert check_env.report([finding, finding]) == 2
    assert capsys.readouterr().err == 'error: torch is missing; install it\n'
