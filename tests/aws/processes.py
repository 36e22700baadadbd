"""How what would run in the image's container is started here: by this interpreter, in a process of its own.

The image's own test starts the same commands in real containers instead: both are a `Starter`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "runtime" / "Dockerfile"

#: Given a command, its environment, its folder, its log and how many MiB of memory it may take: a process that ends
#: when the command does, the first of a session of its own.
Starter = Callable[[list[str], Mapping[str, str], Path, IO[bytes], int], "subprocess.Popen[bytes]"]


def start_process(
    command: list[str], environment: Mapping[str, str], folder: Path, log: IO[bytes], memory_mib: int
) -> subprocess.Popen[bytes]:
    """Start it with this checkout's code, where and with what the image's recipe says. Its memory is not limited."""
    return start_session(
        [sys.executable if command[0] == "python" else command[0], *command[1:]],
        {
            "PATH": os.environ["PATH"],
            **_image_variables(folder),
            "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("client", "runtime", ".")),
            "TMPDIR": str(folder),
            **environment,
        },
        Path(_here(_instruction("WORKDIR")[-1], folder)),
        log,
    )


def _image_variables(folder: Path) -> dict[str, str]:
    """What the image's recipe sets, with its folders as they are called here."""
    said = re.findall(r"(\w+)=(\S+)", " ".join(_instruction("ENV")))
    return {name: _here(value, folder) for name, value in said if not name.startswith("PIP_")}


def _instruction(name: str) -> list[str]:
    return re.findall(rf"^{name} (.*)$", DOCKERFILE.read_text(), re.MULTILINE)


def _here(path: str, folder: Path) -> str:
    """What stands for a folder of the image: `folder` for /tmp, and one beside it for all that runs may not write."""
    if path.startswith("/tmp"):
        return str(folder) + path.removeprefix("/tmp")
    if not path.startswith("/"):
        return path
    image = folder.parent / "image"
    image.mkdir(exist_ok=True)
    return str(image)


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
