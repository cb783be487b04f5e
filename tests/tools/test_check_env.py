"""tools/misc/check_env.py runs where everything is there, and where nothing is."""

import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'misc' / 'check_env.py'


def test_usable_installation_exits_with_0(load_tool, capsys):
    code = load_tool('misc/check_env.py').main([])

    assert code == 0, capsys.readouterr().err


def test_interpreter_without_any_dependency_gets_sentences_and_exit_code_2():
    result = subprocess.run([sys.executable, '-I', '-S', TOOL], capture_output=True, text=True)

    assert result.returncode == 2
    assert 'error: no OpenMMLab library is installed' in result.stderr
    assert 'Traceback' not in result.stderr
