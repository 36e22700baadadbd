"""What a script's classes and objects are in an executor's calls: as here, in what is given, held and returned.

As a script, whose classes no worker can import, and as a notebook's cell. The kinds are in `kinds_of_a_script`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("kinds_of_a_script.py")
#: A cell of a notebook, in a shell of its own.
CELL = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
sys.modules["__main__"] = shell.user_module
shell.run_cell(open(sys.argv[1]).read()).raise_error()
"""
KINDS = [line.split("made_")[1].partition("(")[0] for line in SCRIPT.read_text().splitlines() if "def made_" in line]
SINCE_3_11 = {"members_that_are_code", "groups"}


def _differences(*command: str, home: Path) -> dict[str, dict[str, str]]:
    environment = {**os.environ, "FANFOLD_HOME": str(home), "IPYTHONDIR": str(home / "ipython")}
    command = (sys.executable, *command, str(SCRIPT))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    return dict(map(json.loads, done.stdout.splitlines()))


@pytest.fixture(scope="module")
def as_script(tmp_path_factory):
    return _differences(home=tmp_path_factory.mktemp("script"))


@pytest.fixture(scope="module")
def as_cell(tmp_path_factory):
    return _differences("-c", CELL, home=tmp_path_factory.mktemp("cell"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["as_script", "as_cell"])
def test_an_executor_s_calls_have_objects_as_they_are(where, kind, request):
    if kind in SINCE_3_11 and sys.version_info < (3, 11):
        pytest.skip("Python has these since 3.11")
    assert request.getfixturevalue(where)[kind] == {}
