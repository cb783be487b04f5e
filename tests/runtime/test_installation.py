"""What is said of installations that lack or mix something."""

from types import SimpleNamespace

import torch
from torchvision.ops import roi_align

from mmtoken.runtime import installation


def correct_roi_align(feature_map, rois, size, scale, samples, mode, aligned):
    return roi_align(feature_map, rois, size, scale, samples, aligned)


def faulty_roi_align(feature_map, *args):
    """Reads the memory of a map as if it were contiguous."""
    flat = feature_map.as_strided((feature_map.numel(),), (1,))
    return correct_roi_align(flat.view(feature_map.shape), *args)


def fail_import(monkeypatch, broken: str, error: Exception) -> None:
    """Let the import of one module fail and leave all others alone."""
    real = installation.importlib.import_module

    def import_module(name):
        if name == broken:
            raise error
        return real(name)

    monkeypatch.setattr(installation.importlib, 'import_module', import_module)


def test_old_python_is_named():
    (finding,) = installation.check_python((3, 9, 1))

    assert finding.problem.startswith('Python 3.9.1 is older than 3.10')


def test_torchvision_of_another_torch_is_explained(monkeypatch):
    error = RuntimeError('operator torchvision::nms does not exist\nmore')
    fail_import(monkeypatch, 'torchvision', error)

    problem = installation.check_torch()[-1].problem

    assert '(operator torchvision::nms does not exist); install the pair' in problem


def test_opencv_without_its_desktop_library_recommends_the_headless_build(monkeypatch):
    fail_import(monkeypatch, 'cv2', ImportError('libGL.so.1: cannot open'))

    (finding,) = installation.check_opencv()

    assert 'libGL.so.1' in finding.problem
    assert 'opencv-python-headless' in finding.problem


def test_operators_compiled_for_another_torch_ask_for_a_rebuild(monkeypatch):
    fail_import(monkeypatch, 'mmcv.ops', ImportError('undefined symbol: _ZN3c10'))

    (finding,) = installation.check_mmcv_ops()

    assert 'undefined symbol: _ZN3c10' in finding.problem
    assert '`make env`' in finding.problem


def test_gpu_that_torch_cannot_use_is_noted(monkeypatch):
    monkeypatch.setattr(installation.shutil, 'which', lambda name: f'/usr/bin/{name}')
    fake = SimpleNamespace(
        version=SimpleNamespace(cuda='13.0'), cuda=SimpleNamespace(is_available=lambda: False)
    )

    assert 'install a driver for CUDA 13.0' in installation.describe_cuda(fake).note


def test_roi_align_that_honors_the_layout_is_not_blamed():
    assert not installation.misreads_channels_last(torch, correct_roi_align)


def test_roi_align_that_ignores_the_layout_is_reported():
    finding = installation.describe_roi_align(torch, faulty_roi_align)

    assert 'misreads channels-last' in finding.state
    assert 'contiguous' in finding.note


def test_same_problem_is_printed_once(capsys):
    finding = installation.Finding('torch', 'missing', 'torch is missing; install it')

    assert installation.report([finding, finding]) == 2
    assert capsys.readouterr().err == 'error: torch is missing; install it\n'
