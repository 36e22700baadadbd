"""Which files and folders of this machine a pattern matches."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from glob import escape, iglob
from pathlib import Path
from stat import S_ISDIR

_ANY_FOLDERS = "**"


def matches(pattern: str) -> Iterator[str]:
    """What `glob` finds, in its order of folders, and each once.

    It goes through links to folders as well, but not round: `glob` finds a file up to 40 times where a link leads to a
    folder above it, and comes to no end where two do.
    """
    found = dict.fromkeys(_matches(pattern))
    return filter(os.path.isdir, found) if pattern.endswith(os.sep) else iter(found)


def _matches(pattern: str) -> Iterator[str]:
    parts = Path(pattern).parts
    if _ANY_FOLDERS not in parts:
        yield from iglob(pattern)
        return
    at = parts.index(_ANY_FOLDERS)
    below = parts[at + 1 :]
    for place in iglob(str(Path(*parts[:at]))) if at else [""]:
        for folder in _folders(place, frozenset()):
            if folder and not below:
                yield folder
            yield from _matches(os.path.join(escape(folder), *(below or ("*",))))


def _folders(folder: str, above: frozenset[tuple[int, int]]) -> Iterator[str]:
    """A folder and all below it whose names begin with no dot; `above` are those that it was reached through."""
    try:
        about = os.stat(folder or os.curdir)
    except OSError:
        return
    this = (about.st_dev, about.st_ino)
    if this in above or not S_ISDIR(about.st_mode):
        return
    yield folder
    with suppress(OSError), os.scandir(folder or os.curdir) as entries:  # one that may not be read holds nothing
        below = sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())
        for name in below:
            yield from _folders(os.path.join(folder, name), above | {this})
