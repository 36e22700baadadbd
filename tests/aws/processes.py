"""How what would run in the image's container is started here: by this interpreter, in a process of its own.

The image's own test starts the same commands in real containers instead: both are a `Starter`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]

#: Given a command, its environment, its folder, its log and how many MiB of memory it may take: a process that ends
#: when the command does, the first of a session of its own.
Starter = Callable[[list[str], Mapping[str, str], Path, IO[bytes], int], "subprocess.Popen[bytes]"]


def start_process(
    command: list[str], environment: Mapping[str, str], folder: Path, log: IO[bytes], memory_mib: int
) -> subprocess.Popen[bytes]:
    """Start it with the code of this checkout. How much memory it takes is not limited."""
    return start_session(
        [sys.executable if command[0] == "python" else command[0], *command[1:]],
        {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("client", "runtime", ".")),
            "TMPDIR": str(folder),
            **environment,
        },
        folder,
        log,
    )


def start_session(
    command: list[str], environment: Mapping[str, str], folder: Path, log: IO[bytes]
) -> subprocess.Popen[bytes]:
    """A process that can be killed with all that it starts."""
    return subprocess.Popen(
        command,
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
