"""The real command in processes of its own, and one home with jobs in it for the commands that only read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

UDFS = """
import os
import time
import fanfold

@fanfold.udf
def square(x: int, power: int = 2, until: str = ""):
    print("squaring", x, flush=True)
    deadline = time.monotonic() + 200
    while until and not os.path.exists(until) and time.monotonic() < deadline:
        time.sleep(0.01)
    if x == 13:
        raise ValueError("13 is unlucky [red]here[/red]")
    return x ** power

def cube(x: int):
    return x ** 3

if __name__ == "__main__":
    raise SystemExit("this is not a script now")
"""


class Warm:
    """Runs commands in forks of one process that has Fanfold imported (tests/cli/warm.py)."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.cli.warm"], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def run(self, folder: Path, environment: dict[str, str], *arguments: str, given: str) -> tuple[int, str, str]:
        """The command's exit code, and what it wrote to stdout and stderr."""
        with tempfile.TemporaryDirectory() as held:
            files = [Path(held, name) for name in ("given", "out", "err")]
            for path, text in zip(files, (given, "", ""), strict=True):
                path.write_text(text)
            request = {"folder": str(folder), "environment": environment, "arguments": arguments}
            print(json.dumps(request | {"files": list(map(str, files))}), file=self.process.stdin, flush=True)
            code = int(self.process.stdout.readline())
            return code, files[1].read_text(), files[2].read_text()

    def close(self) -> None:
        """It ends when there is nothing more to read."""
        self.process.communicate(timeout=120)


class Fanfold:
    """The command, run in a directory and with a home of its own."""

    def __init__(self, directory: Path, warm: Warm) -> None:
        self.directory, self.warm = directory, warm
        self.udfs = directory / "squares.py"
        self.udfs.write_text(UDFS)
        unwanted = ("COLUMNS", "NO_COLOR", "FORCE_COLOR", "PYTHONUNBUFFERED")
        self.environment = {name: value for name, value in os.environ.items() if name not in unwanted}
        self.environment |= {"FANFOLD_HOME": str(directory / "home"), "FANFOLD_OWNER": "tester"}

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """The command in a process that goes on."""
        return subprocess.Popen(
            [sys.executable, "-m", "fanfold.cli", *arguments],
            cwd=self.directory,
            env=self.environment | options.pop("env", {}),
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )

    def __call__(self, *arguments: str, given: str = "", **options: Any) -> subprocess.CompletedProcess[str]:
        """The command, run to its end: quickly, unless how a process starts or what its streams are is what matters."""
        environment = self.environment | options.pop("env", {})
        assert not options
        return subprocess.CompletedProcess(
            arguments, *self.warm.run(self.directory, environment, *arguments, given=given)
        )

    def json(self, *arguments: str) -> Any:
        """What the command prints with `--json`, whatever its exit code."""
        return json.loads(self(*arguments, "--json").stdout)

    def waiting(self, *arguments: str) -> tuple[str, Path]:
        """A job that has begun, runs by itself, and goes on until the file is made; its id and the file."""
        until = self.directory / "go-on"
        job = self("submit", "squares.py:square", *arguments, "--set", f"until={until}", "--no-wait").stdout.strip()
        eventually(lambda: "running" in self.json("status", job)["counts"])
        return job, until


def eventually(holds: Callable[[], bool], within_s: float = 120) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


def interrupt(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Ctrl-C, and what the process had to say."""
    process.send_signal(signal.SIGINT)
    return process.communicate(timeout=120)


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    process = Warm()
    yield process
    process.close()


@pytest.fixture
def fanfold(tmp_path: Path, warm: Warm) -> Fanfold:
    return Fanfold(tmp_path, warm)


class Here:
    """Commands within this process, with the test's home and one pool of workers for all of them."""

    def __init__(self, directory: Path) -> None:
        self.directory, self.udfs = directory, directory / "squares.py"
        self.udfs.write_text(UDFS)

    def __call__(self, *arguments: str) -> Result:
        from fanfold.cli.app import app

        return CliRunner().invoke(app, arguments, prog_name="fanfold")

    def json(self, *arguments: str) -> Any:
        """What the command prints with `--json`."""
        return json.loads(self(*arguments, "--json").stdout)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    """For a test of one file of UDFs, which this process forgets afterwards, as it does another test's before."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    sys.modules.pop("squares", None)
    yield Here(tmp_path)
    sys.modules.pop("squares", None)


class Jobs:
    """A home with a completed job and a failed one, for commands run within this process."""

    def __init__(self, fanfold: Fanfold) -> None:
        self.fanfold = fanfold
        self.done = fanfold.json("submit", "squares.py", "1", "2", "3")["id"]
        self.failed = fanfold.json("submit", "squares.py", "--range", "12:15")["id"]

    def __call__(self, *arguments: str, columns: int = 80) -> Result:
        """A command that starts nothing."""
        from fanfold.cli.app import app

        environment = self.fanfold.environment | {"COLUMNS": str(columns)}
        return CliRunner().invoke(app, arguments, env=environment, prog_name="fanfold")

    def json(self, *arguments: str) -> Any:
        """What a command prints with `--json`."""
        return json.loads(self(*arguments, "--json").stdout)


@pytest.fixture(scope="package")
def jobs(tmp_path_factory: pytest.TempPathFactory, warm: Warm) -> Jobs:
    return Jobs(Fanfold(tmp_path_factory.mktemp("jobs"), warm))
