"""Folders that a run is given as paths, and what lies in them.

Most folders among arguments are where results go: they change with each run, and count by being there. One in which
nothing has changed from before a run until its end may be one that it has read, and so the result serves again only
while all in it is as it was: the run's *seal* says which folders these are, and how they were. Imported by workers
where a run is given a folder: cheap standard library only.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

#: Files and folders of all folders that a run is given together: to look at so many takes some milliseconds.
MOST_ENTRIES = 2_000
#: More folders than these are not looked into.
_MOST_FOLDERS = 50
#: How a folder was in which more lies than is looked at.
TOO_MANY = "too many"
#: Written by who only reads or looks: readers' locks of LMDB and SQLite, caches of Python, notes of file managers.
_NOBODYS = ("lock.mdb", "__pycache__", ".git", ".DS_Store", "Thumbs.db", ".ipynb_checkpoints")


def below(folder: str) -> Iterator[os.DirEntry[str]]:
    """All that lies in a folder, the files of each before the folders in it, by their names.

    So does what lies in a folder that a link leads to, unless it leads back to one that the link is in.
    """
    waiting: list[tuple[str, frozenset[tuple[int, int]]]] = [(folder, frozenset())]
    while waiting:
        parent, above = waiting.pop()
        try:
            about = os.stat(parent)
            with os.scandir(parent) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError:  # gone meanwhile, or behind a closed door
            continue
        own = (about.st_dev, about.st_ino)
        if own in above:
            continue
        folders = [entry for entry in entries if is_folder(entry)]
        yield from (entry for entry in entries if entry not in folders)
        yield from folders
        waiting += [(entry.path, above | {own}) for entry in reversed(folders)]


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder, or a link to one."""
    with suppress(OSError):  # a link that leads to itself
        return entry.is_dir()
    return False


def states(folders: Iterable[str]) -> dict[str, str]:
    """How each of these folders is now; none for one in which somebody works, this process or who has started it."""
    given = list(folders)
    here = os.path.realpath(os.curdir)
    given = [one for one in given if os.path.commonpath([here, os.path.realpath(one)]) != os.path.realpath(one)]
    if len(given) > _MOST_FOLDERS:
        return {one: _at_its_top(one) for one in given[:_MOST_FOLDERS]}
    found, left = {}, MOST_ENTRIES
    for one in given:
        found[one], left = _state(one, left)
    return found


def seal(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Which of these folders are as they were before the run, and how: for the cache."""
    same = {folder: state for folder, state in before.items() if now.get(folder) == state}
    return json.dumps({one: TOO_MANY if state.startswith(TOO_MANY) else state for one, state in same.items()})


def not_looked_into(seal_of_a_run: str) -> list[str]:
    """The folders in which nothing seems to have changed, and in which too much lies to be sure."""
    return [folder for folder, state in json.loads(seal_of_a_run).items() if state == TOO_MANY]


def is_whole(seal_of_a_run: str, known: dict[str, str]) -> bool:
    """Whether all folders that a run may have read are as they were; `known` are those that were looked at already."""
    sealed = {one: state for one, state in json.loads(seal_of_a_run).items() if state != TOO_MANY}
    for one in sealed:
        if one not in known:
            known[one] = _state(one, MOST_ENTRIES)[0]
    return all(known[one] == state for one, state in sealed.items())


def _state(folder: str, most: int) -> tuple[str, int]:
    """How a folder is, and how many entries may still be looked at."""
    digest = hashlib.sha256()
    for entry in below(folder):
        name = os.path.relpath(entry.path, folder)
        if not set(name.split(os.sep)).isdisjoint(_NOBODYS) or name.endswith("-shm"):
            continue
        if most <= 0:
            return _at_its_top(folder), 0
        most -= 1
        digest.update(f"{name}\0{_of_entry(entry)}\n".encode(errors="replace"))
    return digest.hexdigest(), most


def _of_entry(entry: os.DirEntry[str]) -> str:
    if is_folder(entry):
        return "folder"
    try:
        about = entry.stat()
    except OSError as error:
        return f"unseen {type(error).__name__}"
    if entry.name.endswith("-wal"):  # of SQLite: empty, or set to its owner, by who only reads
        return f"{about.st_size} {about.st_mtime_ns if about.st_size else 0}"
    return f"{about.st_size} {about.st_mtime_ns} {about.st_ctime_ns}"


def _at_its_top(folder: str) -> str:
    """What a folder says of itself: it is written when something in it comes or goes."""
    try:
        return f"{TOO_MANY} {os.stat(folder).st_mtime_ns}"
    except OSError:
        return ""
