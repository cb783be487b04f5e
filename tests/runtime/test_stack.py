"""Which stack is installed, told from faked package metadata."""

from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from mmtoken.errors import UserError
from mmtoken.runtime.stack import (
    LIBRARIES,
    STACKS,
    import_stack,
    inspect_stack,
    require_stack,
)

ROOT = Path(__file__).resolve().parents[2]


def metadata(*stacks: str, **changes: str | None):
    """A `version_of` with the given stacks installed; ``mmcv='2.0.0'`` changes a module's version,
    ``mmcv=None`` removes it."""
    versions = {}
    for library in LIBRARIES:
        for stack in stacks:
            version = changes.get(library.module, library.minimum[stack])
            if version is not None:
                versions[library.distributions[stack]] = version

    def version_of(name: str) -> str:
        if name not in versions:
            raise PackageNotFoundError(name)
        return versions[name]

    return version_of


@pytest.mark.parametrize('name', STACKS)
def test_complete_stack_is_named_and_has_no_problem(name):
    stack = inspect_stack(metadata(name))

    assert (stack.name, stack.problems, stack.missing) == (name, (), ())


def test_nothing_installed_says_how_to_install_a_stack():
    with pytest.raises(UserError, match='no OpenMMLab library is installed; run `make env`'):
        require_stack(metadata())


def test_both_stacks_are_refused_with_every_distribution_named():
    stack = inspect_stack(metadata('onedl', 'openmmlab'))

    assert stack.name is None
    named = [name in stack.problems[0] for lib in LIBRARIES for name in lib.distributions.values()]
    assert all(named)


def test_a_mixture_is_refused_and_the_fuller_stack_recommended():
    onedl, openmmlab = metadata('onedl', mmcv=None), metadata('openmmlab')

    def version_of(name: str) -> str:
        return openmmlab(name) if name == 'mmcv' else onedl(name)

    with pytest.raises(UserError, match=r'mmcv 2\.1\.0 of OpenMMLab.*mmtoken-toolbox\[onedl\]'):
        require_stack(version_of)


def test_missing_needed_library_is_a_problem():
    with pytest.raises(UserError, match=r'mmcv is missing .* `pip install "mmcv>=2\.1\.0"`'):
        require_stack(metadata('openmmlab', mmcv=None))


def test_missing_detection_library_is_only_mentioned():
    stack = inspect_stack(metadata('onedl', mmdet=None))

    assert not stack.problems
    assert 'onedl-mmdetection' in stack.missing[0]


@pytest.mark.parametrize('version', ['2.0.1', '2.0.10rc1', '1.9'])
def test_old_version_is_named_beside_the_oldest_supported(version):
    with pytest.raises(UserError, match=f'mmcv {version} is older than 2.1.0'):
        require_stack(metadata('openmmlab', mmcv=version))


@pytest.mark.parametrize('version', ['2.1.0', '2.1.0rc1', '2.1.0+cpu', '2.1.10', '2.1.0.post1'])
def test_versions_compare_by_their_release_numbers(version):
    assert require_stack(metadata('openmmlab', mmcv=version)) == 'openmmlab'


@pytest.mark.parametrize('stack', STACKS)
def test_oldest_versions_are_those_of_the_requirements(stack):
    lines = (ROOT / 'requirements' / f'{stack}.txt').read_text(encoding='utf-8').splitlines()
    ranges = [line.split(',')[0] for line in lines]

    for library in LIBRARIES:
        assert f'{library.distributions[stack]}>={library.minimum[stack]}' in ranges


def test_a_library_that_cannot_be_imported_is_named_with_the_reason(monkeypatch):
    def fail(module: str) -> None:
        raise AssertionError('MMCV==2.2.0 is used but incompatible.\nPlease install mmcv<2.2')

    monkeypatch.setattr('mmtoken.runtime.stack.import_module', fail)

    with pytest.raises(UserError, match=r"'mmengine' cannot be imported \(MMCV==2\.2\.0 is .*\)"):
        import_stack()
