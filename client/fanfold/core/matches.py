"""Which files and folders of this machine a pattern matches, and which files lie below a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from glob import escape, iglob
from pathlib import Path

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
        found = _within(place, lambda name: not name.startswith("."))
        for folder in (path for path, has_more in found if has_more):
            if folder and not below:
                yield folder
            yield from _matches(os.path.join(escape(folder), *(below or ("*",))))


def files_below(
    folder: str,
    enters: Callable[[str], bool] = lambda _: True,
    onerror: Callable[[OSError], None] = lambda _: None,
) -> Iterator[str]:
    """All that a folder and those below it hold and is no folder, whatever its name, in the order of the names.

    It goes through links to folders as well, but not round. Links that lead nowhere and pipes are among it. `enters`:
    by their names, which folders to go into; `onerror` is called for one that may not be read, as with `os.walk`.
    """
    return (path for path, has_more in _within(folder, enters, onerror) if not has_more)


def _within(
    folder: str,
    enters: Callable[[str], bool],
    onerror: Callable[[OSError], None] = lambda _: None,
    above: frozenset[tuple[int, int]] = frozenset(),
) -> Iterator[tuple[str, bool]]:
    """A folder, and all in it and below, each with whether it is a folder; `above` are those it was reached through."""
    try:
        this = identity(folder or os.curdir)
        if this in above:
            return
        if os.path.isdir(folder or os.curdir):
            yield folder, True  # one that may not be read as well: what is named in it may be had
        with os.scandir(folder or os.curdir) as entries:
            inside = sorted((entry.name, is_folder(entry)) for entry in entries)
    except OSError as error:
        onerror(error)
        return
    for name, has_more in inside:
        path = os.path.join(folder, name)
        if not has_more:
            yield path, False
        elif enters(name):
            yield from _within(path, enters, onerror, above | {this})


def identity(path: str) -> tuple[int, int]:
    """What two names of one folder have in common. Raises `OSError`."""
    about = os.stat(path)
    return about.st_dev, about.st_ino


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False
