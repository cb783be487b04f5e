"""What the wheel and the source distribution hold, built without a network."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ('configs', 'projects', 'requirements', 'tools')


@pytest.fixture(scope='module')
def checkout(tmp_path_factory):
    """A copy of what is packed, since a build writes beside its sources."""
    folder = tmp_path_factory.mktemp('checkout')
    ignored = shutil.ignore_patterns('__pycache__', '*.egg-info', '.mim')
    for name in SOURCES:
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, folder / path.name)
    return folder


@pytest.fixture(scope='module')
def wheel(checkout):
    """The names of the files in the wheel, and its metadata."""
    target = checkout / 'dist'
    command = [sys.executable, '-m', 'pip', 'wheel', '-q', '--no-build-isolation', '--no-deps']
    subprocess.run([*command, '--no-index', '-w', target, checkout], check=True)
    (path,) = target.glob('*.whl')
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        (metadata,) = (name for name in names if name.endswith('.dist-info/METADATA'))
        return path.name, names, archive.read(metadata).decode()


@pytest.fixture(scope='module')
def installed(checkout, wheel, tmp_path_factory):
    """What a program far from the checkout finds, beside a package that pip installed."""
    site, elsewhere = (tmp_path_factory.mktemp(name) for name in ('site', 'elsewhere'))
    command = [sys.executable, '-m', 'pip', 'install', '-q', '--no-deps', '--no-index', '--target']
    subprocess.run([*command, site, checkout / 'dist' / wheel[0]], check=True)
    base = 'life/mask-rcnn_life-deit-tiny_sfp_1x_coco.py'
    (elsewhere / 'mine.py').write_text(f"_base_ = __import__('mmtoken').config_path('{base}')")
    code = (
        'import json\n'
        'from mmengine.config import Config\n'
        "config = Config.fromfile('mine.py')\n"
        'from mmpretrain import get_model, list_models\n'
        "model = get_model('life-d6w96_digits-cls')\n"
        'import mmtoken\n'
        'facts = dict(package=mmtoken.__file__, base=mmtoken.config_path(BASE),\n'
        '             backbone=config.model.backbone.type, listed=list_models("*life*"),\n'
        '             built=model._config.filename,\n'
        '             detector=mmtoken.get_model("mask-rcnn_life-d6w96_digits-det").cfg.filename)\n'
        'print(json.dumps(facts))\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', f'BASE = {base!r}\n{code}'],
        cwd=elsewhere,
        env={**os.environ, 'PYTHONPATH': str(site)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return site / 'mmtoken', json.loads(done.stdout.splitlines()[-1])


def test_config_elsewhere_inherits_from_the_installed_package(installed):
    package, facts = installed

    assert Path(facts['package']).parent == package
    assert package / '.mim' / 'configs' / 'life' in Path(facts['base']).parents
    assert facts['backbone'] == 'mmpretrain.LIFEViT'


def test_models_of_the_installed_package_are_in_the_list_of_mmpretrain(installed):
    package, facts = installed

    assert 'life-deit-tiny_8xb64_in1k' in facts['listed']
    assert package / '.mim' / 'configs' / 'digits' in Path(facts['built']).parents


def test_a_detector_of_the_installed_package_is_built_by_its_name(installed):
    package, facts = installed

    assert package / '.mim' / 'configs' / 'digits' in Path(facts['detector']).parents


def test_distribution_is_mmtoken_toolbox(wheel):
    assert wheel[0].startswith('mmtoken_toolbox-')


def test_wheel_holds_every_module(wheel):
    modules = {
        path.relative_to(ROOT / 'projects').as_posix()
        for path in (ROOT / 'projects' / 'mmtoken').rglob('*.py')
        if '.mim' not in path.parts
    }

    assert modules <= set(wheel[1])


@pytest.mark.parametrize('folder', ['configs', 'tools'])
def test_mim_folder_of_the_wheel_is_complete(wheel, folder):
    files = {
        f'mmtoken/.mim/{path.relative_to(ROOT).as_posix()}'
        for path in (ROOT / folder).rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    }

    assert files <= set(wheel[1])


def test_mim_folder_of_the_wheel_has_the_model_index_and_what_it_imports(wheel):
    imported = re.findall(r'^ *- (\S+)$', (ROOT / 'model-index.yml').read_text(), re.MULTILINE)

    expected = {f'mmtoken/.mim/{name}' for name in ['model-index.yml', *imported]}
    assert imported
    assert expected <= set(wheel[1])


def test_first_recorded_row_of_the_package_lies_in_the_module(wheel):
    """onedl-mim takes its folder for the package's; pip sorts the RECORD."""
    assert min(wheel[1]).startswith('mmtoken/')


def test_wheel_has_no_console_script(wheel):
    """One would stand in the RECORD before the module, where onedl-mim looks."""
    assert not any(name.endswith('entry_points.txt') for name in wheel[1])


def test_neither_stack_is_a_hard_requirement(wheel):
    required = re.findall(r'^Requires-Dist: (\S+?)[<>=~! ;].*$', wheel[2], re.MULTILINE)
    hard = [
        line
        for line in wheel[2].splitlines()
        if line.startswith('Requires-Dist') and 'extra ==' not in line
    ]

    assert {'onedl-mmcv', 'mmcv'} <= {name.split('<')[0].split('>')[0] for name in required}
    assert not [line for line in hard if 'mm' in line]


def test_source_distribution_builds_the_same_wheel(checkout, wheel, tmp_path):
    command = [sys.executable, 'setup.py', '-q', 'sdist', '--dist-dir', tmp_path]
    subprocess.run(command, check=True, cwd=checkout, capture_output=True)
    (path,) = tmp_path.glob('*.tar.gz')
    with tarfile.open(path) as archive:
        archive.extractall(tmp_path / 'unpacked', filter='data')
    (unpacked,) = (tmp_path / 'unpacked').iterdir()

    command = [sys.executable, 'setup.py', '-q', 'bdist_wheel', '--dist-dir', tmp_path]
    subprocess.run(command, check=True, cwd=unpacked, capture_output=True)

    (rebuilt,) = tmp_path.glob('*.whl')
    with zipfile.ZipFile(rebuilt) as archive:
        assert set(archive.namelist()) == set(wheel[1])


def test_development_install_links_what_mim_reads(checkout):
    call = '["lay_out_mim_folder"](["develop"])'
    code = f'import runpy; runpy.run_path("setup.py", run_name="setup"){call}'
    subprocess.run([sys.executable, '-c', code], check=True, cwd=checkout)

    link = checkout / 'projects' / 'mmtoken' / '.mim' / 'configs'
    assert link.is_symlink()
    assert link.resolve() == (checkout / 'configs').resolve()


@pytest.mark.parametrize('stack', ['onedl', 'openmmlab', 'transformers'])
def test_lock_pins_every_distribution_exactly_once(stack):
    text = (ROOT / 'requirements' / f'lock-{stack}.txt').read_text(encoding='utf-8')
    lines = [line for line in text.splitlines() if line and not line.startswith('#')]

    pins = [re.fullmatch(r'([\w.-]+)==([\w.+]+)( ; python_version .+)?', line) for line in lines]
    assert all(pins)
    keys = [(pin[1].lower(), pin[3]) for pin in pins]
    assert len(keys) == len(set(keys))
