"""`make cloud`: a cloud to paste into a terminal, which the command line works against, and which leaves no trace."""

from __future__ import annotations

import os
import pty
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from fanfold.contract.cloud import DEDICATED_COMMAND, REALTIME_HANDLER
from tests.cloud.deploy import ROOT
from tests.conftest import is_gone

SQUARED = "import fanfold\n\n@fanfold.udf\ndef squared(x: int):\n    return x * x\n"
ENDLESS = """
import fanfold, pathlib, time

@fanfold.udf
def endless(x: int, folder: str):
    pathlib.Path(folder, str(x)).touch()
    while True:
        time.sleep(0.05)

fanfold.submit(endless, range(4), folder=FOLDER, collect=False)
fanfold.submit(endless, range(4, 6), folder=FOLDER, instance_type="small", max_workers=2, collect=False)
"""


class Terminal:
    """A terminal of its own in which `make cloud` runs: Ctrl-C reaches all that runs in it, as on a person's desk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._keyboard, screen = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", _IN_A_TERMINAL, "-m", "tests.cloud"],
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)},
            stdin=screen,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        os.close(screen)
        self.lines = []
        for line in self.process.stdout:
            self.lines.append(line)
            if "FANFOLD_DEPLOYMENT" in line:
                break

    def press_ctrl_c(self) -> None:
        os.write(self._keyboard, b"\x03")

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        os.close(self._keyboard)


#: `login` does the same: the terminal is the session's own, and its keys are for the process in front.
_IN_A_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.fixture(scope="module")
def terminal(synthesised, tmp_path_factory):
    """One for all tests here; the last of them ends it."""
    terminal = Terminal(tmp_path_factory.mktemp("terminal"))
    yield terminal
    terminal.close()


def pasted(terminal, command):
    """What a command prints in another terminal, whose shell had a profile of its user's."""
    script = "".join(["set -eu\n", *terminal.lines, command])
    environment = {**os.environ, "AWS_PROFILE": "work", "AWS_SESSION_TOKEN": "of-another-account"}
    done = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_line_works_in_a_shell_with_the_lines_that_are_printed(terminal, tmp_path):
    (tmp_path / "squared.py").write_text(SQUARED)
    assert pasted(terminal, f"fanfold run {tmp_path}/squared.py x=12").strip() == "144"
    assert "squared" in pasted(terminal, "fanfold jobs")


def test_a_port_that_is_taken_is_named_before_anything_starts():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "tests.cloud", "--port", port]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"--port: {port} cannot be had" in done.stderr


def test_ctrl_c_ends_it_and_all_that_it_runs_at_that_moment(terminal, tmp_path, eventually):
    marks = tmp_path / "marks"
    marks.mkdir()
    (tmp_path / "endless.py").write_text(ENDLESS.replace("FOLDER", repr(str(marks))))
    pasted(terminal, f"python {tmp_path}/endless.py")
    eventually(lambda: len(list(marks.iterdir())) == 6)
    started = psutil.Process(terminal.process.pid).children(recursive=True)
    runs = {REALTIME_HANDLER, DEDICATED_COMMAND[-1]}
    busy = [process for process in started if runs & set(process.cmdline())]
    assert len(busy) == 6
    terminal.press_ctrl_c()
    terminal.process.wait(timeout=60)
    eventually(lambda: all(is_gone(process.pid) for process in [*busy, *started]))
    assert not list(terminal.folder.glob("fanfold-cloud-*"))
