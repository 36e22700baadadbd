"""The images of functions and machines, as far as there are any without containers: Python packages of their own.

Commands of an image that has a lock of its own run in an environment of this machine's packages, over which those of
the lock are laid that are here in another version or not at all. It is made when the image first starts. Debian
packages and another base cannot be had here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement

from tests.cloud.refusals import NotEmulated


class Images:
    """Which lock an image has is told by `locks`, by a part of its address; any thread may ask."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self.locks: dict[str, str] = {}

    def add(self, locks: Mapping[str, str]) -> None:
        """Know these too: the path of a lock file by the tag of an image."""
        self.locks.update(locks)

    def command(self, address: str, command: list[str]) -> list[str]:
        """The command as it is run here, for a container of the image at that address."""
        tag = address.rpartition(":")[2]
        if command[0] != "python" or tag not in self.locks:
            return command
        with self._lock:
            return [str(self._python(tag)), *command[1:]]

    def _python(self, tag: str) -> Path:
        folder = self._folder / tag[:16]
        python = folder / "bin" / "python"
        if not python.exists():
            made = False
            try:
                make_environment(folder, list(missing_pins(Path(self.locks[tag]).read_text())))
                made = True
            finally:
                if not made:
                    shutil.rmtree(folder, ignore_errors=True)
        return python


def missing_pins(lock: str) -> Iterator[str]:
    """Of a lock's pins for this Python, those that are not here."""
    for line in lock.replace("\\\n", " ").splitlines():
        if not line or line.startswith("#"):
            continue
        pin = Requirement(line.split(" --hash=")[0].strip())
        if (pin.marker is None or pin.marker.evaluate()) and not _is_here(pin):
            yield f"{pin.name}{pin.specifier}"


def _is_here(pin: Requirement) -> bool:
    try:
        return version(pin.name) in pin.specifier
    except PackageNotFoundError:
        return False


def make_environment(folder: Path, pins: list[str]) -> None:
    """An environment with these packages over those that are here. Raises `NotEmulated` where they cannot be had."""
    _uv("venv", "--quiet", "--no-python-downloads", "--python", sys.executable, str(folder))
    (site,) = folder.glob("lib/python*/site-packages")
    here = [path for path in sys.path if path.endswith("site-packages")]
    (site / "here.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in here))
    if pins:
        _uv("pip", "install", "--quiet", "--no-deps", "--python", str(folder / "bin" / "python"), *pins)


def _uv(*command: str) -> None:
    index = os.environ.get("PIP_INDEX_URL")
    environment = {**os.environ, **({"UV_DEFAULT_INDEX": index} if index else {})}
    whole = [sys.executable, "-m", "uv", *command]
    done = subprocess.run(whole, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise NotEmulated(f"the packages of an image: {done.stderr.strip()[-500:]}")
