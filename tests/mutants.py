"""Try the tests: change the core in a sample of places, one at a time, and list what none noticed.

    python tests/mutants.py [--count 400] [--processes 2]

mutmut makes the mutants and runs, for each, the tests that reach the mutated function; its settings
stand in ``pyproject.toml``, and ``docs/testing.md`` says what the results mean. A run that was
stopped goes on where it was; after new tests the same command tries again what had survived. The
exit code is 0 if 90 % of the sample are killed, else 1.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from difflib import unified_diff
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
FOLDER = REPO / 'work_dirs' / 'mutants'
# mutmut wants the package below src/, and copies what tests read.
LINKS = {
    'src/mmtoken': 'projects/mmtoken',
    'tests': 'tests',
    'configs': 'configs',
    'pyproject.toml': 'pyproject.toml',
}
# A small part: whatever mutmut runs, it first makes all mutants and times all tests.
FIRST = 'mmtoken.convert.*'
REQUIRED = 0.9
MESSAGES = {'print_log'}
# pytest's codes of failed tests and of an internal error, then those of a test that hangs.
KILLED = {1, 3, 24, -24, 36, 152, 255}
SURVIVED = {None: 'not tried', 0: 'survived', 5: 'reached by no test', 33: 'reached by no test'}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--count', type=int, default=400, help='size of the sample')
    parser.add_argument('--processes', type=int, default=os.cpu_count(), help='mutants at a time')
    args = parser.parse_args()
    lay_out(FOLDER)
    try:
        return try_tests(args.count, args.processes)
    except KeyboardInterrupt:
        print('\nstopped; the same command goes on from here')
        return 130


def try_tests(count: int, processes: int) -> int:
    """Try the mutants of the sample that are not killed yet; the exit code."""
    run_mutmut([FIRST], processes)
    codes, diffs = read_mutants(FOLDER)
    sample = choose(diffs, count)
    left = [name for name in sample if codes[name] not in KILLED]
    print(f'{len(sample)} of {len(diffs)} mutants are the sample, {len(left)} to be tried')
    if left:
        run_mutmut(left, processes)
        codes, _ = read_mutants(FOLDER)
    return report(sample, codes, diffs)


def lay_out(folder: Path) -> None:
    """Link into mutmut's working folder what it copies from there."""
    for name, source in LINKS.items():
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(REPO / source)


def run_mutmut(names: list[str], processes: int) -> None:
    """Let mutmut try mutants; it tells itself how far it is.

    Raises:
        SystemExit: If it fails, as where a test fails without any mutation.
    """
    # A mutant is chosen where a function is called, which a compiled graph cannot hold.
    env = dict(os.environ, OMP_NUM_THREADS='1', TORCHDYNAMO_DISABLE='1')
    env.pop('PYTHONPATH', None)
    mutmut = Path(sys.executable).with_name('mutmut')
    command = [str(mutmut), 'run', '--max-children', str(processes), *names]
    code = subprocess.run(command, cwd=FOLDER, env=env, check=False).returncode
    if code:
        sys.exit(
            f'error: mutmut ended with code {code}; where it says that it failed to collect stats, '
            'a test fails without any mutation: see which with `make test`'
        )


def read_mutants(folder: Path) -> tuple[dict[str, int | None], dict[str, str]]:
    """What mutmut left in its working folder.

    Returns:
        By the name of each mutant how its tests ended, None where it was not tried; and how it
        differs from the original, of those that change more than the words of a message.
    """
    codes, diffs = {}, {}
    for meta in sorted(folder.glob('mutants/src/**/*.py.meta')):
        if not (folder / meta.relative_to(folder / 'mutants').with_suffix('')).exists():
            continue  # of a module that is no more
        of_file = json.loads(meta.read_text('utf-8'))['exit_code_by_key']
        codes |= of_file
        functions = {
            node.name: node
            for node in ast.walk(ast.parse(meta.with_suffix('').read_text('utf-8')))
            if isinstance(node, ast.FunctionDef)
        }
        for name in of_file:
            own = name.rpartition('.')[2]
            original = own.partition('__mutmut_')[0] + '__mutmut_orig'
            before, after = (_text(functions[function]) for function in (original, own))
            if _without_words(before) != _without_words(after):
                lines = unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm='')
                diffs[name] = '\n'.join(
                    line for line in lines if line[:2] not in ('--', '++', '@@')
                )
    return codes, diffs


def _text(function: ast.FunctionDef) -> str:
    """A function without its name and docstring."""
    function.name = 'f'
    if ast.get_docstring(function):
        function.body[0] = ast.Pass()
    return ast.unparse(function)


def _without_words(function: str) -> str:
    """A function without the words of what it raises and logs."""
    tree = ast.parse(function)
    for node in ast.walk(tree):
        called = isinstance(node, ast.Call) and getattr(node.func, 'id', None) in MESSAGES
        if isinstance(node, ast.Raise) or called:
            for part in ast.walk(node):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    part.value = ''
    return ast.dump(tree)


def choose(names: Iterable[str], count: int) -> list[str]:
    """A sample that depends on names alone, and so stays where the code does."""
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())[:count]


def report(sample: list[str], codes: dict[str, int | None], diffs: dict[str, str]) -> int:
    """Say what became of the sample, survivors last; 0 if enough were killed, else 1."""
    survivors = [name for name in sorted(sample) if codes[name] not in KILLED]
    for name in survivors:
        state = SURVIVED.get(codes[name], f'ended with code {codes[name]}')
        print(f'\n{name}: {state}\n{diffs[name]}')
    killed = Counter(name.split('.')[1] for name in sample if codes[name] in KILLED)
    of_folder = Counter(name.split('.')[1] for name in sample)
    print('\n' + ', '.join(f'{f} {killed[f]}/{of_folder[f]}' for f in sorted(of_folder)))
    share = 1 - len(survivors) / len(sample)
    print(f'{len(sample) - len(survivors)} of {len(sample)} mutants killed, {share:.1%}')
    return int(share < REQUIRED)


if __name__ == '__main__':
    sys.exit(main())
