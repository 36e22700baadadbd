"""The stores of this machine: one SQLite file and a directory of objects under one home."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from fanfold.core.models import CacheEntry, Event
from fanfold.errors import StoreError
from fanfold.stores.local.cache import SqliteResultCache
from fanfold.stores.local.database import Database
from fanfold.stores.local.log import SqliteEventLog
from fanfold.stores.local.objects import FileObjectStore
from fanfold.stores.local.removal import remove_jobs

__all__ = ["LocalStores"]


class LocalStores:
    """The event log, the objects and the cache under `home`, which any number of processes may open at once.

    `scratch` is a directory on the objects' file system: what is written there, `objects.put_file` only renames.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.scratch = home / "scratch"
        #: What runs have as `fanfold.mount_path()`.
        self.shared_folder = home / "mount"
        self._database = Database(home / "fanfold.db")
        self.log = SqliteEventLog(self._database)
        self.objects = FileObjectStore(home / "objects", self.scratch)
        self.cache = SqliteResultCache(self._database, self.objects)

    @classmethod
    def open(cls, home: Path) -> LocalStores:
        """Open the stores under `home`, making them where there are none.

        Raises `StoreTooNew` where a newer Fanfold wrote them, and `StoreError` where they cannot be opened.
        """
        stores = cls(home)
        try:
            home.parent.mkdir(parents=True, exist_ok=True)
            # Inputs and results are nobody else's. One that is there already may be shared on purpose.
            home.mkdir(mode=0o700, exist_ok=True)
            for directory in (stores.objects.root, stores.scratch):
                directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"The directory {home} cannot be used for Fanfold's stores: {error.strerror}.",
                next_step="set FANFOLD_HOME to a directory that is yours to write.",
            ) from error
        with stores._database.reading():
            return stores

    def record(self, events: Sequence[Event], entries: Sequence[CacheEntry]) -> None:
        """Append events, then offer results to the cache: one that is found there is on record."""
        self.log.append(events)
        if entries:
            self.cache.record(entries)

    def remove_jobs(self, job_ids: Sequence[str]) -> int:
        """Take jobs away that have ended, and all that is kept for them alone; the bytes of files that were freed.

        Results that another job shares stay; those which these jobs computed for the cache are forgotten.
        """
        for job_id in job_ids:
            self.runner_log(job_id).unlink(missing_ok=True)
        freed = remove_jobs(self._database, self.objects, job_ids)
        self.log.forget(job_ids)
        return freed

    def runner_log(self, job_id: str) -> Path:
        """Where a job's runner process writes what it has to say."""
        return self.home / "runners" / f"{job_id}.log"

    def close(self) -> None:
        """Let go of the database file. Using the stores again opens it anew."""
        self._database.close()

    def __enter__(self) -> LocalStores:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
