"""What a person types on a machine where nothing of Fanfold or AWS is known yet."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


class Person:
    """Types commands in `folder`, at a home of their own; a call gives what is printed, on both streams."""

    def __init__(self, folder: Path, home: Path, python: str = sys.executable) -> None:
        self.folder = folder
        self.home = home
        self._python = python
        ours = ("FANFOLD_", "AWS_", "COLUMNS")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        self.environment |= {"HOME": str(home), "COLUMNS": "100"}

    def fanfold(self, *words: str, ends: int = 0) -> str:
        """The command, which is to end with that exit code."""
        return self.python("-m", "fanfold", *words, ends=ends)

    def python(self, *words: str, ends: int = 0) -> str:
        """A program, which is to end with that exit code."""
        ended = subprocess.run(
            [self._python, *words],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        assert ended.returncode == ends, ended.stdout
        return ended.stdout


def only_the_wheel(folder: Path) -> str:
    """The Python of a new environment in `folder` that has Fanfold's wheel, and beside it the tests' packages.

    No package index is asked.
    """
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    venv.create(folder / "venv", symlinks=True)
    [packages] = (folder / "venv" / "lib").glob("python*/site-packages")
    [wheel] = folder.glob("fanfold-*.whl")
    with zipfile.ZipFile(wheel) as files:
        files.extractall(packages)
    (packages / "required.pth").write_text("\n".join(path for path in sys.path if path.endswith("site-packages")))
    return str(folder / "venv" / "bin" / "python")
