"""Files that take their names when they are whole: who reads one at any moment finds all of it, or none."""

from __future__ import annotations

import os
from pathlib import Path


def unfinished(path: Path, mark: str = ".") -> Path:
    """A hidden name beside `path` that no other thread, process or machine has; it ends as `path` does."""
    return path.with_name(f"{mark}{os.getpid()}-{os.urandom(4).hex()}.{path.name}")


def write_privately(path: Path, data: bytes) -> None:
    """Write a file that this account alone may read, whole or not at all. Raises `OSError`."""
    part = unfinished(path)
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
