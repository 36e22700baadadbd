"""What a person types on a machine where nothing of Fanfold or AWS is known yet."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


class Person:
    """Types commands in `folder`, at a home of their own; a call gives what is printed, on both streams."""

    def __init__(self, folder: Path, home: Path) -> None:
        self.folder = folder
        self.home = home
        ours = ("FANFOLD_", "AWS_", "COLUMNS")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        self.environment |= {"HOME": str(home), "COLUMNS": "100"}

    def fanfold(self, *words: str, ends: int = 0) -> str:
        """The command, which is to end with that exit code."""
        return self.python("-m", "fanfold", *words, ends=ends)

    def python(self, *words: str, ends: int = 0) -> str:
        """A program, which is to end with that exit code."""
        ended = subprocess.run(
            [sys.executable, *words],
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
