"""Which files and folders of this machine a pattern matches, and which files lie below a folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
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
        below = sorted(entry.name for entry in entries if not entry.name.startswith(".") and _is_folder(entry))
        for name in below:
            yield from _folders(os.path.join(folder, name), above | {this})


def files_below(
    folder: str,
    enters: Callable[[str], bool] = lambda _: True,
    onerror: Callable[[OSError], None] = lambda _: None,
) -> Iterator[str]:
    """All that a folder and those below it hold and is no folder, whatever its name, in the order of the names.

    It goes through links to folders as well, but not round. Links that lead nowhere and pipes are among it. `enters`:
    by their names, which folders to go into; `onerror` is called for one that may not be read, as with `os.walk`.
    """
    return _files(folder, frozenset(), enters, onerror)


def _files(
    folder: str,
    above: frozenset[tuple[int, int]],
    enters: Callable[[str], bool],
    onerror: Callable[[OSError], None],
) -> Iterator[str]:
    try:
        about = os.stat(folder)
        this = (about.st_dev, about.st_ino)
        if this in above:
            return
        with os.scandir(folder) as entries:
            inside = sorted((entry.name, _is_folder(entry)) for entry in entries)
    except OSError as error:
        onerror(error)
        return
    for name, is_folder in inside:
        path = os.path.join(folder, name)
        if not is_folder:
            yield path
        elif enters(name):
            yield from _files(path, above | {this}, enters, onerror)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False
