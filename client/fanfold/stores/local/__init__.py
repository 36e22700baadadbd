"""The stores of this machine: one SQLite file and a directory of objects under one home."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from fanfold.core.models import CacheEntry, Event
from fanfold.errors import StoreError
from fanfold.settings import current
from fanfold.stores.disk import READ_ONLY, Syncer
from fanfold.stores.local.cache import SqliteResultCache
from fanfold.stores.local.database import Database, make_private
from fanfold.stores.local.log import SqliteEventLog
from fanfold.stores.local.objects import FileObjectStore
from fanfold.stores.local.removal import remove_jobs

__all__ = ["LocalStores"]

#: While a job runs, what has been recorded is brought to the disk this often; and when it ends.
_SYNC_S = 1.0


class LocalStores:
    """The event log, the objects and the cache under `home`, which any number of processes may open at once.

    `scratch` is a directory on the objects' file system: what is written there, `objects.put_file` only renames.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.scratch = home / "scratch"
        #: What runs have as `fanfold.mount_path()`.
        self.shared_folder = home / "mount"
        self._durable = current().durability == "disk"
        self._synced_at = 0.0
        self._database = Database(home / "fanfold.db")
        self.objects = FileObjectStore(home / "objects", self.scratch, syncer=Syncer(enabled=self._durable))
        self.log = SqliteEventLog(self._database, sync_contents=self.objects.sync)
        self.cache = SqliteResultCache(self._database, self.objects)

    @classmethod
    def open(cls, home: Path) -> LocalStores:
        """Open the stores under `home`, making them where there are none.

        Raises `StoreTooNew` where a newer Fanfold wrote them, and `StoreError` where they cannot be opened.
        """
        stores = cls(home)
        try:
            home.parent.mkdir(parents=True, exist_ok=True)
            # Inputs and results are nobody else's, but where others may write: that is shared on purpose.
            home.mkdir(mode=0o700, exist_ok=True)
            private = not home.stat().st_mode & 0o022
            for directory in (stores.objects.root, stores.scratch):
                directory.mkdir(mode=0o700 if private else 0o777, exist_ok=True)
            if private:
                make_private(stores._database.path)
        except OSError as error:
            if stores._database.path.exists() and error.errno in READ_ONLY:
                return stores  # it can be read all the same
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
        if time.monotonic() - self._synced_at >= _SYNC_S:
            self.sync()

    def sync(self) -> None:
        """Return when all that has been recorded so far outlives a power cut. Raises `StoreError`."""
        if self._durable:
            self._synced_at = time.monotonic()
            self.objects.sync()
            self._database.sync()

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
