"""Packaging of the distribution ``mmtoken-toolbox``, whose module is ``mmtoken``.

The distribution is not named like the module on purpose: onedl-mim takes the first row of the
installed RECORD for the package's folder, and ``mmtoken-0.1.0.dist-info`` would sort before it.
Hence also no console scripts. With mim the package is called ``mmtoken-toolbox``.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
PACKAGE = ROOT / 'projects' / 'mmtoken'
EXTRAS = ('onedl', 'openmmlab', 'digits', 'diagnosis', 'deployment', 'dev')
MIM_ENTRIES = ('tools', 'configs', 'model-index.yml')


def read_version() -> str:
    """Read ``__version__`` without importing the package, which needs its dependencies."""
    text = (PACKAGE / '__init__.py').read_text(encoding='utf-8')
    return re.search(r"^__version__ = '([^']+)'$", text, re.MULTILINE).group(1)


def read_requirements(name: str) -> list[str]:
    """Read the version ranges of ``requirements/<name>.txt``, one requirement a line."""
    text = (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8')
    lines = (line.split('#')[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def lay_out_mim_folder(commands: list[str]) -> None:
    """Put the configs and tools where mim looks for them, in ``mmtoken/.mim``.

    Args:
        commands: The setuptools commands being run. Distributions get copies, since what lies
            outside a package is not packed. A development install gets links, so that an edited
            config is the one that mim runs. An ``editable_wheel`` gets nothing.
    """
    if not (ROOT / 'configs').is_dir():
        return  # an unpacked source distribution, which brings the folder along
    if {'sdist', 'bdist_wheel'}.intersection(commands):
        link = False
    elif 'develop' in commands:
        link = True
    else:
        return
    folder = PACKAGE / '.mim'
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for entry in MIM_ENTRIES:
        source, target = ROOT / entry, folder / entry
        if link:
            target.symlink_to(os.path.relpath(source, folder), target_is_directory=source.is_dir())
        elif source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns('__pycache__', '*.pyc'))
        elif source.exists():
            shutil.copy(source, target)


if __name__ == '__main__':
    lay_out_mim_folder(sys.argv)
    setup(
        name='mmtoken-toolbox',
        version=read_version(),
        description='Token-level vision transformers for OpenMMLab',
        long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
        long_description_content_type='text/markdown',
        license='Apache-2.0',
        keywords='vision transformer, classification, object detection, semantic segmentation',
        classifiers=[
            'Operating System :: OS Independent',
            'Programming Language :: Python :: 3',
            'Topic :: Scientific/Engineering :: Artificial Intelligence',
        ],
        package_dir={'': 'projects'},
        packages=find_packages('projects'),
        include_package_data=True,
        python_requires='>=3.10',
        install_requires=read_requirements('runtime'),
        # Both stacks own the same import names, so pip would install one over the other if either
        # were a hard requirement.
        extras_require={name: read_requirements(name) for name in EXTRAS},
        zip_safe=False,
    )
