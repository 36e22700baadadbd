"""Keeps what lives: a job's expiry moves on for as long as anything of the job does.

A job may take longer than jobs are kept, or be retried on its last day. Each process that works on it or waits for
it then gives its header, its events and its objects a later expiry, well before the first of them would go. One does
that at a time; the next finishes what it could not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from fanfold.contract import cloud
from fanfold.core.models import Event
from fanfold.errors import ResultDamaged
from fanfold.stores.aws.account import CONCURRENCY
from fanfold.stores.aws.job_headers import JobHeaders, StoredHeader
from fanfold.stores.aws.objects import S3ObjectStore
from fanfold.stores.aws.table import Item, Page, Table, key

#: Expiry is moved on when less than this share of the time is left for which jobs are kept.
_DUE_SHARE = 2 / 3
#: Who moves it on does so alone for this long.
_ALONE_S = 600.0
_AFTER = f"{cloud.PARTITION_KEY} = :partition AND {cloud.SORT_KEY} > :after"


class Keeper:
    """Moves the expiry of jobs on. `read_events`: the events that an item of a job tells of."""

    def __init__(
        self,
        table: Table,
        objects: S3ObjectStore,
        headers: JobHeaders,
        read_events: Callable[[str, Item], list[Event]],
    ) -> None:
        self._table = table
        self._objects = objects
        self._headers = headers
        self._read_events = read_events

    def keep(self, job_id: str, *, within_s: float | None = None) -> bool:
        """Move a job's expiry on if that is due, and say whether all of it was. Nothing is read where it is not.

        `within_s`: stop after so many seconds; the next call goes on from there.
        """
        head, now = self._headers.known(job_id), self._table.account.clock.now()
        if head.expires_at - now >= _DUE_SHARE * head.retention_s:
            return False
        head = self._headers.read(job_id)
        if head.expires_at - now >= _DUE_SHARE * head.retention_s or not self._headers.take_keeping(job_id, _ALONE_S):
            return False
        ends = None if within_s is None else time.monotonic() + within_s
        in_time = lambda: ends is None or time.monotonic() < ends  # noqa: E731
        whole = self._keep(head, int(now + head.retention_s), in_time)
        self._headers.release_keeping(job_id)
        return whole

    def _keep(self, head: StoredHeader, until: int, in_time: Callable[[], bool]) -> bool:
        job_id = head.header.id
        old_s = (1 - _DUE_SHARE) * head.retention_s
        for place, reads in self._partitions(head):
            for page in self._pages(place):
                if not in_time():
                    return False
                if reads:
                    self._renew(self._results(job_id, page.items), old_s)
                self._stamp(page.items, until)
        self._renew(self._objects.keys(f"jobs/{job_id}/"), old_s)
        if not in_time():
            return False
        self._headers.expire_at(job_id, until)  # last: a process that finds the header moved on need do nothing
        return True

    def _partitions(self, head: StoredHeader) -> Iterator[tuple[str, bool]]:
        """Every partition of a job, and whether its items tell of results."""
        job_id = head.header.id
        for shard in range(cloud.shards(head.header.count)):
            yield cloud.event_partition(job_id, shard), True
            yield cloud.telemetry_partition(job_id, shard), False
        yield cloud.job_partition(job_id), False

    def _pages(self, partition: str) -> Iterator[Page]:
        after = "\0"
        while True:
            values = {":partition": {"S": partition}, ":after": {"S": after}}
            page = self._table.query(_AFTER, values, consistent=True)
            yield page
            if not page.more:
                return
            after = page.items[-1][cloud.SORT_KEY]["S"]

    def _stamp(self, items: list[Item], until: int) -> None:
        earlier = [
            key(item[cloud.PARTITION_KEY]["S"], item[cloud.SORT_KEY]["S"])
            for item in items
            if item[cloud.SORT_KEY]["S"] != cloud.HEAD and int(item[cloud.EXPIRES_AT]["N"]) < until
        ]
        there = f"attribute_exists({cloud.PARTITION_KEY})"
        values = {":until": {"N": str(until)}}

        def stamp(one: Item) -> bool:
            change = f"SET {cloud.EXPIRES_AT} = :until"
            return self._table.update_if(one, change, there, ExpressionAttributeValues=values)

        for start in range(0, len(earlier), CONCURRENCY * 4):
            for _ in self._table.account.each(stamp, earlier[start : start + CONCURRENCY * 4]):
                pass

    def _results(self, job_id: str, items: Iterable[Item]) -> set[str]:
        """The objects that hold results which these items tell of."""
        events = (event for item in items for event in self._read_events(job_id, item))
        return {event.output.key for event in events if event.output is not None and event.output.key}

    def _renew(self, keys: Iterable[str], old_s: float) -> None:
        """Have the bucket's rules count the age of these objects from now, where they are old enough to matter."""

        def renew(name: str) -> None:
            try:
                self._objects.renew(name, older_than_s=old_s)
            except ResultDamaged:
                return  # it is gone already: who asks for it is told, and computes it again

        for _ in self._table.account.each(renew, keys):
            pass
