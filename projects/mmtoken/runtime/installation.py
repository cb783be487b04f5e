"""What mmtoken would run on here, and for each thing missing or clashing what to do about it.

Reads nothing but the standard library by itself and is loaded alone, beside ``stack.py``, so that
it can explain an installation in which not even the package can be imported.
"""

from __future__ import annotations

import importlib
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

REBUILD = 'remove the virtual environment and run `make env`'


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Args:
        subject: What was looked at.
        state: What was found; empty where only a sentence is to be said.
        problem: One sentence with its remedy if mmtoken cannot work this way, else empty.
        note: One sentence on what works less well than it could, else empty.
    """

    subject: str
    state: str = ''
    problem: str = ''
    note: str = ''


def first_line(error: BaseException) -> str:
    """What an exception says, shortened to its first line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> list[Finding]:
    """Python itself."""
    text = '.'.join(map(str, version))
    if version >= (3, 10):
        return [Finding('python', text)]
    problem = f'Python {text} is older than 3.10; make the environment on a newer one'
    return [Finding('python', text, problem)]


def check_stack(stack_module: ModuleType) -> list[Finding]:
    """The distributions of the OpenMMLab libraries."""
    stack = stack_module.inspect_stack()
    name = stack_module.STACKS.get(stack.name, 'not usable')
    listed = ', '.join(f'{distribution} {text}' for distribution, text in stack.versions.items())
    findings = [Finding('stack', f'{name}: {listed or "nothing"}')]
    findings += [Finding('stack', problem=sentence) for sentence in stack.problems]
    findings += [Finding('stack', note=sentence) for sentence in stack.missing]
    return findings


def check_torch() -> list[Finding]:
    """Torch, its CUDA and torchvision."""
    try:
        torch = importlib.import_module('torch')
    except Exception as error:
        problem = f'torch cannot be imported ({first_line(error)}); {REBUILD}'
        return [Finding('torch', 'missing', problem)]
    findings = [Finding('torch', torch.__version__), describe_cuda(torch)]
    try:
        findings.append(Finding('torchvision', importlib.import_module('torchvision').__version__))
    except Exception as error:
        problem = (
            f'torchvision cannot be imported beside torch {torch.__version__} '
            f'({first_line(error)}); install the pair of one release, '
            'as the lock in requirements does: torch==2.14.1 torchvision==0.29.1'
        )
        findings.append(Finding('torchvision', 'broken', problem))
    return findings


def describe_cuda(torch: ModuleType) -> Finding:
    """The GPUs that torch can use, or why there are none."""
    built = torch.version.cuda
    if torch.cuda.is_available():
        count, name = torch.cuda.device_count(), torch.cuda.get_device_name(0)
        return Finding('CUDA', f'{built}, {count} x {name}')
    note = ''
    if shutil.which('nvidia-smi'):
        remedy = f'a driver for CUDA {built}' if built else 'the CUDA build of torch'
        note = f'this machine has nvidia-smi but torch sees no GPU; install {remedy}'
    return Finding('CUDA', f'torch built for {built or "CPU only"}, no GPU in use', note=note)


def check_opencv() -> list[Finding]:
    """OpenCV, whose usual build needs a library of the desktop."""
    try:
        return [Finding('opencv', importlib.import_module('cv2').__version__)]
    except ModuleNotFoundError:
        return [Finding('opencv', 'missing', f'opencv is not installed; {REBUILD}')]
    except Exception as error:
        remedy = 'run `pip install --force-reinstall --no-deps opencv-python-headless`'
        problem = f'opencv cannot be imported ({first_line(error)}); {remedy}'
        return [Finding('opencv', 'broken', problem)]


def check_libraries(stack_module: ModuleType) -> list[Finding]:
    """Whether the installed libraries also import: they refuse one another's versions there."""
    installed = stack_module.inspect_stack().versions
    findings = []
    for library in stack_module.LIBRARIES:
        if not installed.keys() & library.distributions.values():
            continue
        try:
            importlib.import_module(library.module)
        except Exception as error:
            problem = f'{library.module} cannot be imported ({first_line(error)}); {REBUILD}'
            findings.append(Finding(library.module, 'broken', problem))
    return findings


def check_mmcv_ops() -> list[Finding]:
    """The compiled operators of mmcv, their device, and the fault of RoIAlign."""
    try:
        ops = importlib.import_module('mmcv.ops')
    except Exception as error:
        problem = (
            'the compiled operators of mmcv are missing or belong to another torch '
            f'({first_line(error)}); {REBUILD}, which compiles them for the torch that is there'
        )
        return [Finding('mmcv ops', 'missing', problem)]
    torch = importlib.import_module('torch')
    compiled_for = ops.get_compiling_cuda_version()
    with_cuda = compiled_for != 'not available'
    note = ''
    if torch.cuda.is_available() and not with_cuda:
        note = (
            'torch sees a GPU but mmcv was compiled without CUDA, so detectors cannot use it; '
            f'install nvcc {torch.version.cuda} and {REBUILD}, '
            'or set CUDA_VISIBLE_DEVICES= to train on the CPU'
        )
    state = f'compiled for the CPU and CUDA {compiled_for}' if with_cuda else 'compiled for the CPU'
    return [Finding('mmcv ops', state, note=note), describe_roi_align(torch, ops.roi_align)]


def misreads_channels_last(torch: ModuleType, roi_align: Callable) -> bool:
    """Whether RoIAlign gives another result for the same map in channels-last memory.

    Args:
        torch: The torch module.
        roi_align: mmcv's function.

    Returns:
        True if the installed mmcv has the fault of its issue 2203.
    """
    feature_map = torch.arange(2 * 3 * 8 * 8, dtype=torch.float32).reshape(2, 3, 8, 8).sin()
    rois = torch.tensor([[0, 0.5, 1.0, 5.0, 6.0], [1, 2.0, 0.0, 7.0, 4.0]])
    expected = roi_align(feature_map, rois, (2, 2), 1.0, 2, 'avg', True)
    channels_last = feature_map.contiguous(memory_format=torch.channels_last)
    found = roi_align(channels_last, rois, (2, 2), 1.0, 2, 'avg', True)
    return not torch.allclose(expected, found, atol=1e-5)


def describe_roi_align(torch: ModuleType, roi_align: Callable) -> Finding:
    """Whether mmcv's RoIAlign reads channels-last maps as if they were contiguous."""
    if not misreads_channels_last(torch, roi_align):
        return Finding('RoIAlign', 'reads channels-last maps correctly')
    return Finding(
        'RoIAlign',
        'misreads channels-last maps (mmcv issue 2203)',
        note='maps of mmtoken are contiguous and safe; '
        'call .contiguous() on maps of other plain ViTs before RoIAlign',
    )


def check_mmtoken() -> list[Finding]:
    """The package itself, imported last since it needs all the rest."""
    try:
        return [Finding('mmtoken', importlib.import_module('mmtoken').__version__)]
    except Exception as error:
        remedy = '' if isinstance(error, ValueError) else '; run `pip install --no-deps -e .`'
        problem = f'mmtoken cannot be imported ({first_line(error)}){remedy}'
        return [Finding('mmtoken', 'broken', problem)]


def collect(stack_module: ModuleType) -> list[Finding]:
    """Run every check, the cheap and explanatory ones first.

    Args:
        stack_module: ``mmtoken.runtime.stack``.

    Returns:
        What was found.
    """
    findings = check_python() + check_stack(stack_module) + check_torch() + check_opencv()
    if not any(finding.problem for finding in findings):
        findings += check_libraries(stack_module) + check_mmcv_ops() + check_mmtoken()
    return findings


def report(findings: list[Finding]) -> int:
    """Print the findings and return the exit code, 0 if usable and 2 if not."""
    for finding in findings:
        if finding.state:
            print(f'{finding.subject:12} {finding.state}')
    for finding in findings:
        if finding.note:
            print(f'note: {finding.note}')
    problems = list(dict.fromkeys(finding.problem for finding in findings if finding.problem))
    for problem in problems:
        print(f'error: {problem}', file=sys.stderr)
    print(f'{platform.system()} {platform.machine()}:', 'not usable' if problems else 'usable')
    return 2 if problems else 0
