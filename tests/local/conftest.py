from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import fanfold

CLIENT = str(Path(fanfold.__file__).resolve().parents[1])


class Script:
    """A program of a user's, running as a process of its own in the test's home."""

    def __init__(self, process, folder):
        self.process = process
        self.folder = folder

    def line(self):
        return self.process.stdout.readline().strip()

    def end(self, timeout=60):
        """Its return code and what else it said."""
        out, err = self.process.communicate(timeout=timeout)
        return self.process.returncode, out, err


@pytest.fixture
def script(home, tmp_path):
    """Starts a program: `script(text)`; what it still runs at the end is killed."""
    started = []

    def start(text, *arguments, preexec_fn=None):
        path = tmp_path / f"script{len(started)}.py"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        environment = {**os.environ, "FANFOLD_HOME": str(home), "PYTHONPATH": CLIENT}
        process = subprocess.Popen(
            [sys.executable, str(path), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=tmp_path,
            preexec_fn=preexec_fn,  # noqa: PLW1509  a limit of the process's own, set between fork and exec
        )
        started.append(process)
        return Script(process, tmp_path)

    yield start
    for process in started:
        process.kill()
        process.communicate()
