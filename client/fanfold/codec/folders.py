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
from collections.abc import Iterable, Mapping
from itertools import islice

from fanfold.codec.paths import on_this_machine
from fanfold.core.matches import identity, is_folder

#: Files and folders of all folders that a run is given together: to look at so many takes some milliseconds.
MOST_ENTRIES = 1_000
#: More folders than these are not looked into.
_MOST_FOLDERS = 50
#: How a folder was in which more lies than is looked at.
TOO_MANY = "too many"
#: What stands for how a folder was that has changed while the run was at work.
WRITTEN = "written"
#: Written by who only reads or looks: readers' locks of LMDB and SQLite, caches of Python, notes of file managers.
_NOBODYS = ("lock.mdb", "__pycache__", ".DS_Store", "Thumbs.db", ".ipynb_checkpoints")
#: The folder of git's own in a repository, which `git status` writes to; of it counts at which commits all is.
_GIT, _COMMITS = ".git", ("HEAD", "packed-refs", "refs")


def states(folders: Iterable[str]) -> dict[str, str]:
    """How each of these folders is now; none for one in which somebody works, this process or who has started it."""
    at_work = os.path.realpath(os.curdir)
    places = [(one, os.path.realpath(on_this_machine(one))) for one in folders]
    given = [one for one, place in places if os.path.commonpath([at_work, place]) != place]
    if len(given) > _MOST_FOLDERS:
        return {one: _at_its_top(one) for one in given[:_MOST_FOLDERS]}
    found, left = {}, MOST_ENTRIES
    for one in given:
        found[one], left = _state(one, left)
    return found


def seal(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """How the folders were that a run was given, for the cache; `WRITTEN` where they are not so any more."""
    return json.dumps(
        {
            folder: WRITTEN if now.get(folder) != state else TOO_MANY if state.startswith(TOO_MANY) else state
            for folder, state in before.items()
        }
    )


def not_looked_into(seal_of_a_run: str) -> list[str]:
    """The folders in which nothing seems to have changed, and in which too much lies to be sure."""
    return [folder for folder, state in json.loads(seal_of_a_run).items() if state == TOO_MANY]


def written_in(seal_of_a_run: str) -> list[str]:
    """The folders that the run, or another meanwhile, has written to."""
    return [folder for folder, state in json.loads(seal_of_a_run).items() if state == WRITTEN]


def changed_since(seal_of_a_run: str, known: dict[str, str]) -> list[str]:
    """The folders that a run may have read and that are not as they were; `known` are those that were looked at."""
    sealed = {one: state for one, state in json.loads(seal_of_a_run).items() if state not in (TOO_MANY, WRITTEN)}
    for one in sealed:
        if one not in known:
            known[one] = _state(one, MOST_ENTRIES)[0]
    return [one for one, state in sealed.items() if known[one] != state]


def _state(folder: str, most: int) -> tuple[str, int]:
    """How a folder is, those that links in it lead to as well, and how many entries may still be looked at."""
    digest = hashlib.sha256()
    waiting: list[tuple[str, str, frozenset[tuple[int, int]]]] = [("", on_this_machine(folder), frozenset())]
    while waiting:
        place, path, above = waiting.pop()
        try:
            own = identity(path)
            with os.scandir(path) as found:
                entries = list(islice((one for one in found if not _is_nobodys(path, one.name)), most + 1))
        except OSError:  # gone meanwhile, or behind a closed door
            continue
        if own in above:  # a link has led back
            continue
        lines = [place]
        for entry in sorted(entries, key=lambda entry: entry.name):
            name = entry.name
            if most <= 0:
                return _at_its_top(folder), 0
            most -= 1
            if is_folder(entry):
                waiting.append((f"{place}{name}/", entry.path, above | {own}))
                name = f"{name}/"
            else:
                name = f"{name}\0{_of_file(entry)}"
            lines.append(name)
        digest.update("\n".join([*lines, ""]).encode(errors="surrogatepass"))
    return digest.hexdigest(), most


def _is_nobodys(folder: str, name: str) -> bool:
    if os.path.basename(folder) == _GIT:
        return name not in _COMMITS
    return name in _NOBODYS or name.endswith("-shm")


def _of_file(entry: os.DirEntry[str]) -> str:
    try:
        about = entry.stat()
    except OSError as error:
        return f"unseen {type(error).__name__}"
    if entry.name.endswith("-wal"):  # of SQLite: empty, or set to its owner, by who only reads
        return f"{about.st_size} {about.st_mtime_ns if about.st_size else 0}"
    return f"{about.st_size} {about.st_mtime_ns} {about.st_ctime_ns}"


def _at_its_top(folder: str) -> str:
    return f"{TOO_MANY} {top(folder)}"


def top(folder: str) -> int:
    """What a folder says of itself: it is written when something comes into it or goes; 0 where it is gone."""
    try:
        return os.stat(on_this_machine(folder)).st_mtime_ns
    except OSError:
        return 0
