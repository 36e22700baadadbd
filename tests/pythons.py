"""The other Pythons that Fanfold runs on, as far as this machine has them, each with an environment of its own.

`make pythons` runs on each of them the tests of what a client does by itself.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
_CLIENT = ".[aws]"
_TESTED = ".[dev]"
#: What needs no browser, no CDK and no container.
_TESTS = "source codec contract fold inputs cache stores execute job local surface cli environments trust".split()


class NotInstallableError(Exception):
    """The machine has the interpreter, but not the packages for it."""


def supported() -> list[str]:
    """The minor versions that pyproject.toml names, the oldest first."""
    return re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text())


@cache
def others() -> dict[str, str]:
    """The interpreters of supported minor versions other than this one, by version."""
    this = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = {version: _interpreter(version) for version in supported() if version != this}
    return {version: path for version, path in found.items() if path}


@cache
def with_client(version: str) -> str:
    """A Python of that version in which Fanfold is installed as this project pins it. Raises `NotInstallableError`."""
    return _environment(version, _CLIENT)


def main() -> int:
    """Run the tests on each; 0 where all passed. What this machine does not have is said."""
    for version in supported():
        if version not in others() and version != f"{sys.version_info.major}.{sys.version_info.minor}":
            print(f"Python {version} was NOT RUN: this machine does not have it.", flush=True)
    failed = [version for version in others() if not _passes(version)]
    print(f"Failed on {', '.join(failed)}." if failed else f"Passed on {', '.join(others())}.")
    return 1 if failed else 0


def _passes(version: str) -> bool:
    print(f"Python {version}:", flush=True)
    python = _environment(version, _TESTED)
    folders = [f"tests/{name}" for name in _TESTS]
    command = [
        python,
        "-m",
        "pytest",
        "-q",
        "-n",
        "2",
        "--dist",
        "loadfile",
        "-m",
        "not long and not browser",
        *folders,
    ]
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0


def _environment(version: str, *wanted: str) -> str:
    folder = ROOT / f".venv-{version}"
    python = str(folder / "bin" / "python")
    if not Path(python).exists():
        _done(version, [others()[version], "-m", "venv", str(folder)])
    install = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python]
    _done(version, [*install, "--constraint", "constraints.txt", "--editable", *wanted])
    return python


def _done(version: str, command: list[str]) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise NotInstallableError(f"Fanfold cannot be installed for Python {version} here: {' '.join(last)}")


def _interpreter(version: str) -> str | None:
    """One that starts: a shim of pyenv stands on the path for versions, too, that it does not let start."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [shutil.which(f"python{version}"), *sorted(map(str, pyenv.glob(f"{version}.*/bin/python")))]
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    for path in filter(None, candidates):
        told = subprocess.run([path, "-c", ask], capture_output=True, text=True, check=False).stdout
        if told.strip() == version:
            return path
    return None


if __name__ == "__main__":
    sys.exit(main())
