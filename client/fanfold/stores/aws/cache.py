"""The result cache of a deployment: one item a result, asked for a hundred at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fanfold.contract.cloud import ENTRY, EXPIRES_AT, FLIGHT, PARTITION_KEY, cache_partition
from fanfold.core.models import CacheEntry
from fanfold.stores.aws.table import Item, Table, key
from fanfold.stores.packing import entry_from_bytes, entry_to_bytes

#: Anything this young is newer than what is there, but for what another wrote in the same seconds, which is as good.
_NEW_S = 10.0
#: The one attribute of ours, and when the entry was made, which is compared on the way in.
_PACKED, _CREATED_AT = "e", "created_at"


class DynamoResultCache:
    """Results that may serve again. `retention_s`: seconds after which the bucket deletes what they refer to."""

    def __init__(self, table: Table, *, retention_s: float) -> None:
        self._table = table
        self._clock = table.account.clock
        self.retention_s = retention_s

    def lookup(self, keys: Sequence[str], *, max_age_s: float, consistent: bool = False) -> dict[str, CacheEntry]:
        """The entries that exist and are no older than `max_age_s` seconds, by key."""
        now = self._clock.now()
        found: dict[str, CacheEntry] = {}
        for item in self._table.get_all([_key(one) for one in dict.fromkeys(keys)], consistent=consistent):
            entry = entry_from_bytes(_cache_key(item), item[_PACKED]["B"])
            # DynamoDB deletes up to 48 hours late, and what has expired can be read until then.
            if entry is not None and entry.created_at >= now - max_age_s and int(item[EXPIRES_AT]["N"]) > now:
                found[entry.key] = entry
        return found

    def record(self, entries: Sequence[CacheEntry]) -> None:
        """Keep entries; a newer one replaces an older."""
        self._table.put_all(self.items(self.record_older(entries)))

    def record_older(self, entries: Sequence[CacheEntry]) -> list[CacheEntry]:
        """Keep those entries that are not quite new, unless newer ones are there; returns the others."""
        oldest = self._clock.now() - _NEW_S
        for entry in (one for one in entries if one.created_at < oldest):
            condition = f"attribute_not_exists({PARTITION_KEY}) OR {_CREATED_AT} <= :at"
            at = {":at": {"N": repr(entry.created_at)}}
            self._table.put_if(self._item(entry), condition, ExpressionAttributeValues=at)
        return [one for one in entries if one.created_at >= oldest]

    def items(self, entries: Sequence[CacheEntry]) -> Iterator[Item]:
        """The items of entries, to be written together with others."""
        return map(self._item, sorted(entries, key=lambda entry: entry.created_at))

    def forget(self, keys: Sequence[str]) -> None:
        """Have entries found no more, such as one whose result turned out damaged.

        They are overwritten: only operators may delete.
        """
        gone: Item = {_PACKED: {"B": b""}, _CREATED_AT: {"N": "0"}, EXPIRES_AT: {"N": str(int(self._clock.now()))}}
        self._table.put_all([{**_key(one), **gone} for one in keys])

    def join_flight(self, flight: str, job_id: str) -> list[str]:
        """Say that a job may compute results of a flight; the jobs that had said so before."""
        ends = {"N": str(int(self._clock.now() + self.retention_s))}
        before = self._table.update(
            _flight_key(flight),
            f"ADD jobs :mine SET {EXPIRES_AT} = :ends",
            ExpressionAttributeValues={":mine": {"SS": [job_id]}, ":ends": ends},
        )
        earlier: list[str] = before.get("jobs", {}).get("SS", [])
        # A call whose answer was lost is made again by botocore, and cannot tell any more who came before.
        return [] if job_id in earlier else earlier

    def leave_flight(self, flight: str, job_ids: Sequence[str]) -> None:
        """Tell nobody of these jobs any more."""
        gone = {":gone": {"SS": list(job_ids)}}
        self._table.update(_flight_key(flight), "DELETE jobs :gone", ExpressionAttributeValues=gone)

    def _item(self, entry: CacheEntry) -> Item:
        return {
            **_key(entry.key),
            EXPIRES_AT: {"N": str(int(entry.created_at + self.retention_s))},
            _CREATED_AT: {"N": repr(entry.created_at)},
            _PACKED: {"B": entry_to_bytes(entry)},
        }


def _key(cache_key: str) -> Item:
    return key(cache_partition(cache_key), ENTRY)


def _cache_key(item: Item) -> str:
    partition: str = item[PARTITION_KEY]["S"]
    return partition.partition("#")[2]


def _flight_key(flight: str) -> Item:
    return key(cache_partition(flight), FLIGHT)
