"""Files of a test, and how many of a submit's results come from the cache."""

from __future__ import annotations

import os
from pathlib import Path

import fanfold


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def age(path: Path, seconds: float = 100) -> None:
    """Make a file older, so that writing it again within a tick of the clock is seen."""
    about = path.stat()
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns - int(seconds * 1e9)))


def cached(udf, inputs, **constants) -> int:
    """How many of a submit's results come from the cache."""
    job = fanfold.submit(udf, inputs, collect=False, **constants).wait()
    assert job.status == "Completed"
    return int(job.counts().get("cached", 0))
