"""Job headers in the table: put once, changed only by the cancel flag, listed by two indexes.

Every run reads its job's header, and reads it again every few seconds for the cancel flag: it must stay small, and no
one item may be read by all. So long constants are an object beside it, which is read once, and a job of several shards
has a copy of its header for each.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import suppress

from fanfold.contract import cloud
from fanfold.contract.records import NamedTuple
from fanfold.core.models import JobHeader
from fanfold.core.processes import Locked
from fanfold.errors import FanfoldError, JobNotFound
from fanfold.stores.aws.table import Item, Page, Table, key
from fanfold.stores.keys import checked_job_id, constants_key, job_not_found
from fanfold.stores.packing import header_from_text, header_to_text
from fanfold.stores.protocols import ObjectStore

#: Everyone's jobs are listed under this name.
_TEAM = "everyone"
#: For how long a header just read is as good as read again: only its cancel flag may have changed, which workers and
#: clients are to see within seconds, and some ask for it several times a second.
_FRESH_S = 2.5
#: While runs go on to succeed one is good for longer: the runs of a job that is cancelled say so.
_FRESH_WITH_NEWS_S = 10.0
#: Constants up to here are part of the header; the item of a longer one would cost each look at it as much again.
_INLINE_CONSTANTS_BYTES = 4096
#: Where longer ones are.
_CONSTANTS_AT = "constants_at"
#: Jobs whose long constants are remembered.
_CONSTANTS = 16
#: For how many seconds a list tells how its jobs stand, and of how many jobs.
_LISTED_S, _LISTED = 10.0, 5_000


#: For how long a job is kept from when anything of it lived.
_RETENTION = "retention_s"
#: The last question about a run's stack: which run, the question's name, when.
_QUESTION = "stack_asked"
#: How the job stands in a list, once it has ended; and how often that was taken away, for it went on.
_BRIEF, _REOPENED = "brief", "reopened"
_REOPEN: Item = {":one": {"N": "1"}}


class StackQuestion(NamedTuple):
    """Somebody wants to know where a run stands: which run, the question's own name, and when (by AWS's clock)."""

    index: int  # type: ignore[assignment]
    name: str
    at: float


class StoredHeader(NamedTuple):
    """A header, and what the table keeps beside it. `expires_at` is in seconds since 1970.

    `retention_s`: for how long the job is kept; its expiry moves on while anything of it lives (`keeping`).
    `question`: the last that was asked about a run's stack. `brief`: how the job stands in a list, where somebody has
    kept that; `reopened`: how often it was taken away.
    """

    header: JobHeader
    expires_at: int
    retention_s: float
    question: StackQuestion | None = None
    brief: str = ""
    reopened: int = 0


class JobHeaders(Locked):
    """The headers of all jobs. Remembers what never changes of those it has seen."""

    def __init__(self, table: Table, objects: ObjectStore, retention_s: float) -> None:
        super().__init__()
        self._table = table
        self._objects = objects
        self._retention_s = retention_s
        self._clock = table.account.clock
        self._constants: OrderedDict[str, str] = OrderedDict()
        self._seen: dict[str, tuple[StoredHeader, float]] = {}
        #: When runs of a job were last seen to succeed, and nothing else was.
        self._went_on: dict[str, float] = {}
        #: Briefs of a list just read, by job. Its headers are not remembered: they may be older than those seen.
        self._listed: dict[str, tuple[str, float]] = {}

    def put(self, header: JobHeader) -> None:
        """Record a new job; where it is there already, nothing changes."""
        if self._clock.ahead_s:
            header = header._replace(created_at=header.created_at - self._clock.ahead_s)
        head = StoredHeader(header, int(self._clock.now() + self._retention_s), self._retention_s)
        item = {**_item(head), cloud.WAKES: {"N": "1"}, **({cloud.TELLS: {"N": "1"}} if header.notify else {})}
        if _are_long(header.constants):
            self._objects.put(constants_key(header.id), header.constants.encode())
        # Conditional: a start that is repeated must not take a cancel flag away that was set in between.
        if self._table.put_if(item, f"attribute_not_exists({cloud.PARTITION_KEY})"):
            self._remember(head)
            self._table.put_all(_copies(item, header))

    def get(self, job_id: str) -> StoredHeader:
        """The header as it is now, give or take some seconds. Raises `JobNotFound`."""
        seen, now = self._seen.get(job_id), time.monotonic()
        if seen is None:
            return self.read(job_id)
        good_until = max(seen[1], min(self._went_on.get(job_id, 0.0), seen[1] + _FRESH_WITH_NEWS_S - _FRESH_S))
        return seen[0] if now - good_until < _FRESH_S else self.read(job_id)

    def note_progress(self, job_id: str) -> None:
        """Note that runs of a job have just been seen to succeed, so that it has hardly been cancelled."""
        self._went_on[job_id] = time.monotonic()

    def read(self, job_id: str) -> StoredHeader:
        """The header, read anew. Raises `JobNotFound`."""
        item = self._table.get(_key(job_id))
        if item is None or self._expired(item):
            raise self._not_found(job_id)
        return self._remember(self._head(item))

    def read_copy(self, job_id: str, shard: int) -> StoredHeader:
        """The header as it is now, from the copy for this shard. Raises `JobNotFound`."""
        seen = self._seen.get(job_id)
        copy = shard if seen is None else shard % cloud.shards(seen[0].header.count)
        item = self._table.get(_copy_key(job_id, copy))
        if item is None or self._expired(item):  # of few runs, or its submitter was cut off before it had written them
            return self.read(job_id)
        return self._remember(self._head(item))

    def known(self, job_id: str) -> StoredHeader:
        """The header as it was when it was last seen: for all that never changes. Raises `JobNotFound`."""
        seen = self._seen.get(job_id)
        return self.get(job_id) if seen is None else seen[0]

    def flag(self, job_id: str, at: float | None) -> None:
        """Set the cancel flag (seconds since 1970), or take it away."""
        if at is None:
            self._change(job_id, f"REMOVE cancelled_at, {_BRIEF} ADD {_REOPENED} :one", **_values(_REOPEN))
        else:
            change = f"SET cancelled_at = :new REMOVE {_BRIEF}"
            self._change(job_id, change, **_values({":new": {"N": repr(at)}}))

    def ask_stack(self, job_id: str, question: StackQuestion) -> None:
        """Leave a question where all workers of the job will see it; an earlier one is gone then."""
        new = {"S": f"{question.index} {question.name} {question.at!r}"}
        self._change(job_id, f"SET {_QUESTION} = :new", **_values({":new": new}))

    def keep_brief(self, job_id: str, text: str, *, reopened: int, cancelled_at: float | None) -> bool:
        """Keep how a job stands, as read when it had been reopened so often; False where it has gone on since."""
        conditions, values = [f"attribute_exists({cloud.PARTITION_KEY})"], {":new": {"S": text}}
        for name, value in ((_REOPENED, reopened or None), ("cancelled_at", cancelled_at)):
            if value is None:
                conditions.append(f"attribute_not_exists({name})")
            else:
                conditions.append(f"{name} = :{name}")
                values[f":{name}"] = {"N": repr(value)}
        change = f"SET {_BRIEF} = :new"
        return self._table.update_if(_key(job_id), change, " AND ".join(conditions), **_values(values))

    def brief(self, job_id: str) -> str:
        """How a job stands, as somebody has kept it; empty where nobody has. Raises `JobNotFound`."""
        listed = self._listed.get(job_id)
        if listed is not None and time.monotonic() - listed[1] < _LISTED_S:
            return listed[0]
        return self.get(job_id).brief

    def drop_brief(self, job_id: str) -> None:
        """Take away how a job stands: it goes on."""
        change, there = f"REMOVE {_BRIEF} ADD {_REOPENED} :one", f"attribute_exists({cloud.PARTITION_KEY})"
        self._table.update_if(_key(job_id), change, there, **_values(_REOPEN))
        self.forget(job_id)

    def _change(self, job_id: str, change: str, **values: Item) -> None:
        """Change what stands beside a header, and beside each of its copies."""
        there = f"attribute_exists({cloud.PARTITION_KEY})"
        if not self._table.update_if(_key(job_id), change, there, **values):
            raise self._not_found(job_id)
        copies = range(cloud.shards(self.known(job_id).header.count))

        def change_copy(shard: int) -> bool:
            return self._table.update_if(_copy_key(job_id, shard), change, there, **values)

        if len(copies) > 1:
            for _ in self._table.account.each(change_copy, copies):
                pass
        self.forget(job_id)

    def replace(self, header: JobHeader) -> None:
        """Record what a header says anew; its constants, which may be an object of their own, are as they were."""
        there = f"attribute_exists({cloud.PARTITION_KEY})"
        new = _item(StoredHeader(header, 0, 0.0))["header"]
        facts = {"ExpressionAttributeNames": {"#header": "header"}, "ExpressionAttributeValues": {":new": new}}
        if not self._table.update_if(_key(header.id), "SET #header = :new", there, **facts):
            raise self._not_found(header.id)
        self.forget(header.id)

    def take_lease(self, job_id: str, for_s: float) -> bool:
        """Become the one that looks after the job's lost runs, for so many seconds; False where another is."""
        now = self._clock.now()
        free = "attribute_not_exists(lease_until) OR lease_until < :now"
        values = {":now": {"N": repr(now)}, ":until": {"N": repr(now + for_s)}}
        return self._table.update_if(_key(job_id), "SET lease_until = :until", free, ExpressionAttributeValues=values)

    def release_lease(self, job_id: str) -> None:
        """Let another look after the job."""
        self._table.update(_key(job_id), "REMOVE lease_until")

    def take_keeping(self, job_id: str, for_s: float) -> bool:
        """Become the one that moves the job's expiry on, for so many seconds; False where another is."""
        now = self._clock.now()
        free = f"attribute_exists({cloud.PARTITION_KEY}) AND (attribute_not_exists(keeping) OR keeping < :now)"
        values = {":now": {"N": repr(now)}, ":until": {"N": repr(now + for_s)}}
        return self._table.update_if(_key(job_id), "SET keeping = :until", free, ExpressionAttributeValues=values)

    def release_keeping(self, job_id: str) -> None:
        """Let another move the job's expiry on."""
        self._table.update(_key(job_id), "REMOVE keeping")

    def expire_at(self, job_id: str, until: int) -> None:
        """Have the header and its copies expire then (seconds since 1970)."""
        number = cloud.shards(self.known(job_id).header.count)
        copies = [_copy_key(job_id, shard) for shard in range(number)] if number > 1 else []
        values = {":until": {"N": str(until)}}
        change, there = f"SET {cloud.EXPIRES_AT} = :until", f"attribute_exists({cloud.PARTITION_KEY})"

        def move(one: Item) -> bool:
            return self._table.update_if(one, change, there, ExpressionAttributeValues=values)

        for _ in self._table.account.each(move, [*copies, _key(job_id)]):
            pass
        self.read(job_id)

    def forget(self, job_id: str) -> None:
        """Have the header read anew."""
        self._seen.pop(job_id, None)
        self._listed.pop(job_id, None)
        self._went_on.pop(job_id, None)

    def listed(self, *, owner: str | None, limit: int, before: str | None) -> list[JobHeader]:
        """Headers, newest first."""
        found: list[JobHeader] = []
        while len(found) < limit:
            page = self._page(owner, before, limit - len(found))
            kept = [item for item in page.items if not self._expired(item)]
            heads, at = list(self._heads(kept)), time.monotonic()
            found += [head.header for head in heads]
            self._remember_listed({head.header.id: (head.brief, at) for head in heads})
            if not page.more or not page.items:
                break
            before = page.items[-1][cloud.INDEX_SORT_KEY]["S"]
        return found[:limit]

    def _page(self, owner: str | None, before: str | None, limit: int) -> Page:
        index, attribute = (
            (cloud.INDEX_BY_TEAM, cloud.TEAM_KEY) if owner is None else (cloud.INDEX_BY_OWNER, cloud.OWNER_KEY)
        )
        condition, values = f"{attribute} = :whose", {":whose": {"S": owner or _TEAM}}
        if before is not None:
            condition += f" AND {cloud.INDEX_SORT_KEY} < :before"
            values[":before"] = {"S": before}
        return self._table.query(condition, values, IndexName=index, ScanIndexForward=False, Limit=limit)

    def _heads(self, items: list[Item]) -> Iterable[StoredHeader]:
        """What items tell; those with long constants, which are rare, side by side."""
        if any(_CONSTANTS_AT in item for item in items):
            return self._table.account.each(self._head, items)
        return map(self._head, items)

    def _head(self, item: Item) -> StoredHeader:
        head = _head(item)
        place = item.get(_CONSTANTS_AT)
        if place is None:
            return head
        return head._replace(header=head.header._replace(constants=self._long_constants(place["S"])))

    def _long_constants(self, place: str) -> str:
        """Long constants, which never change."""
        with self.lock:
            known = self._constants.get(place)
        if known is None:
            known = self._objects.get(place).decode()
        with self.lock:
            self._constants[place] = known
            self._constants.move_to_end(place)
            while len(self._constants) > _CONSTANTS:
                self._constants.popitem(last=False)
        return known

    def _expired(self, item: Item) -> bool:
        # DynamoDB deletes up to 48 hours late, and what has expired can be read until then.
        return int(item[cloud.EXPIRES_AT]["N"]) <= self._clock.now()

    def _remember(self, head: StoredHeader) -> StoredHeader:
        with self.lock:
            if len(self._seen) > 1_000:
                self._seen.clear()
                self._went_on.clear()
            self._seen[head.header.id] = head, time.monotonic()
        return head

    def _remember_listed(self, briefs: dict[str, tuple[str, float]]) -> None:
        if len(self._listed) > _LISTED:
            self._listed = {}
        self._listed.update(briefs)

    def _not_found(self, job_id: str) -> JobNotFound:
        latest: list[str] = []
        with suppress(FanfoldError):  # functions and machines may not list jobs
            latest = [header.id for header in self.listed(owner=None, limit=200, before=None)]
        return job_not_found(job_id, latest, place=f"table {self._table.name}")


def _key(job_id: str) -> Item:
    return key(cloud.job_partition(checked_job_id(job_id)), cloud.HEAD)


def _item(head: StoredHeader) -> Item:
    header = head.header
    more: Item = {} if header.cancelled_at is None else {"cancelled_at": {"N": repr(header.cancelled_at)}}
    if _are_long(header.constants):
        more[_CONSTANTS_AT] = {"S": constants_key(header.id)}
        header = header._replace(constants="{}")
    return {
        **_key(header.id),
        cloud.EXPIRES_AT: {"N": str(head.expires_at)},
        _RETENTION: {"N": repr(head.retention_s)},
        cloud.OWNER_KEY: {"S": header.owner},
        cloud.TEAM_KEY: {"S": _TEAM},
        cloud.INDEX_SORT_KEY: {"S": header.id},
        "header": {"S": header_to_text(header)},
        **more,
    }


def _copies(item: Item, header: JobHeader) -> Iterator[Item]:
    """Copies of a header's item, one a shard where there are several; they are listed by no index."""
    number = cloud.shards(header.count)
    once = (cloud.OWNER_KEY, cloud.TEAM_KEY, cloud.INDEX_SORT_KEY, cloud.WAKES, cloud.TELLS)
    kept = {name: value for name, value in item.items() if name not in once}
    return ({**kept, **_copy_key(header.id, shard)} for shard in range(number if number > 1 else 0))


def _copy_key(job_id: str, shard: int) -> Item:
    return key(cloud.header_copy_partition(checked_job_id(job_id), shard), cloud.HEAD)


def _are_long(constants: str) -> bool:
    return len(constants) > _INLINE_CONSTANTS_BYTES


def _head(item: Item) -> StoredHeader:
    at = item.get("cancelled_at")
    header = header_from_text(item["header"]["S"], cancelled_at=None if at is None else float(at["N"]))
    expires_at = int(item[cloud.EXPIRES_AT]["N"])
    kept = item.get(_RETENTION)  # jobs from before their expiry moved have none
    retention_s = float(kept["N"]) if kept else max(0.0, expires_at - header.created_at)
    brief, reopened = item.get(_BRIEF, {}).get("S", ""), int(item.get(_REOPENED, {}).get("N", 0))
    return StoredHeader(header, expires_at, retention_s, _question(item), brief, reopened)


def _values(values: Item) -> Item:
    return {"ExpressionAttributeValues": values}


def _question(item: Item) -> StackQuestion | None:
    if _QUESTION not in item:
        return None
    index, name, at = item[_QUESTION]["S"].split(" ")
    return StackQuestion(int(index), name, float(at))
