"""Say what mmtoken would run on here, and for each thing missing or clashing what to do about it.

    python tools/misc/check_env.py

The exit code is 0 if the installation is usable and 2 if it is not. Only the standard library is
imported before the checks, so that they also explain an installation that cannot import anything.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]


def load_alone(name: str) -> ModuleType:
    """Load a module of ``mmtoken/runtime``: importing the package would need what is checked."""
    folders = [ROOT / 'projects' / 'mmtoken', ROOT.parent]  # a checkout, and an installed .mim
    path = next(path for root in folders if (path := root / 'runtime' / f'{name}.py').exists())
    spec = importlib.util.spec_from_file_location(f'mmtoken_{name}', path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def main(argv: Sequence[str] | None = None) -> int:
    """Check and report.

    Args:
        argv: The arguments; ``sys.argv`` by default.

    Returns:
        The exit code.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args(argv)
    warnings.simplefilter('ignore')
    installation = load_alone('installation')
    return installation.report(installation.collect(load_alone('stack')))


if __name__ == '__main__':
    sys.exit(main())
