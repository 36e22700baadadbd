"""A disk that has only what was synced: for where no file system of one's own can be had.

Of the database file all counts as on the disk: SQLite syncs it itself, and only moves pages there that are in a synced
log.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from fanfold.settings import current
from fanfold.stores import disk
from fanfold.stores.local import log as database


class Shadow:
    """Copies what each sync brings to the disk to `folder`: a file's bytes, or the names in a folder."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._sync = disk.sync_path
        self._contents: dict[int, bytes] = {}

    def install(self) -> None:
        """From now on every sync of this process is seen."""
        disk.sync_path = database.sync_path = self.sync_path

    def sync_path(self, path: Path) -> None:
        """Sync a path, and note what is on the disk now."""
        self._sync(path)
        home = current().home
        if path.is_dir() and path.is_relative_to(home):
            place = self._folder / path.relative_to(home)
            place.mkdir(parents=True, exist_ok=True)
            for entry in path.iterdir():
                if entry.is_file():
                    self._write(place / entry.name, entry)
        elif path.is_file():
            self._contents[path.stat().st_ino] = path.read_bytes()
            place = self._folder / path.relative_to(home)
            if place.exists():
                self._write(place, path)

    def _write(self, place: Path, path: Path) -> None:
        if path.name == "fanfold.db":
            shutil.copyfile(path, place)
        else:
            place.write_bytes(self._contents.get(os.stat(path).st_ino, b""))
