"""Events as items: what one append tells of one shard is one item, whose one attribute of ours is a packed page.

A client's time goes into taking answers apart, attribute by attribute, so there are as few as can be.
"""

from __future__ import annotations

import hashlib
import struct
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone

from fanfold.contract.cloud import (
    EXPIRES_AT,
    PARTITION_KEY,
    SORT_KEY,
    event_partition,
    event_sort_key,
    shard_of,
    telemetry_partition,
)
from fanfold.contract.layout import overflow_key
from fanfold.contract.payloads import DIED, DIED_ATTRIBUTES
from fanfold.errors import StoreTooNew
from fanfold.models import TELEMETRY, Event
from fanfold.stores.aws.deaths import died
from fanfold.stores.aws.table import Item
from fanfold.stores.pages import Page, pack, unpack
from fanfold.stores.protocols import ObjectStore

#: The packed page, or where it is instead when it is too large for an item of 400 KB.
PAGE, PAGE_AT = "e", "o"
#: What `EventItems.read` needs of an item, whoever wrote it.
READ_ATTRIBUTES = (PAGE, PAGE_AT, *(name for name in DIED_ATTRIBUTES if name not in (PARTITION_KEY, EXPIRES_AT)))

_PAGE_EVENTS = 1_000
#: A page is closed when it has about this much: few items are nearly empty, none comes near 400 KB by many events.
_PAGE_BYTES = 128 * 1024
_ITEM_BYTES = 350 * 1024
_COMPRESS_ABOVE_BYTES = 512
#: What an event takes besides its own bytes.
_EVENT_BYTES = 110

_FORMAT, _COMPRESSED = 1, 2
#: Format, and how long heads, results, inline results and codecs are; the notes are the rest.
_LENGTHS = struct.Struct("<B4I")


class EventItems:
    """Makes items of a job's events, and events of items."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def of(self, events: Iterable[Event], *, job_id: str, count: int, expires_at: int) -> Iterator[Item]:
        """The items that tell of these events of a job of `count` runs, to be kept until `expires_at`.

        They are sorted by when they are written, not by when it happened: a large result is on its way for minutes
        before the event that tells of it, and readers look back for seconds.
        """
        now = iso(time.time())
        partitions: dict[str, list[Event]] = {}
        for event in events:
            place = telemetry_partition if event.kind in TELEMETRY else event_partition
            partitions.setdefault(place(job_id, shard_of(event.index, count)), []).append(event)
        for partition, some in partitions.items():
            for portion in _portions(some):
                yield {
                    PARTITION_KEY: {"S": partition},
                    SORT_KEY: {"S": event_sort_key(now, portion[0].id)},
                    EXPIRES_AT: {"N": str(expires_at)},
                    **self._kept(job_id, to_bytes(pack(portion))),
                }

    def read(self, job_id: str, item: Item) -> list[Event]:
        """The events that an item tells of."""
        if PAGE in item:
            return unpack(job_id, from_bytes(item[PAGE]["B"]))
        if PAGE_AT in item:
            return unpack(job_id, from_bytes(self._objects.get(item[PAGE_AT]["S"])))
        if item.get("status", {}).get("S") == DIED:
            return [died(job_id, item)]
        raise _too_new()

    def _kept(self, job_id: str, page: bytes) -> Item:
        if len(page) <= _ITEM_BYTES:
            return {PAGE: {"B": page}}
        key = overflow_key(job_id, hashlib.sha256(page).hexdigest())
        self._objects.put(key, page)
        return {PAGE_AT: {"S": key}}


def iso(at: float) -> str:
    """Seconds since 1970 as ISO 8601 in UTC, with milliseconds: what event sort keys begin with."""
    whole, thousandths = divmod(int(at * 1000), 1000)
    return datetime.fromtimestamp(whole, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.") + f"{thousandths:03d}Z"


def to_bytes(page: Page) -> bytes:
    """A page as one attribute."""
    heads, results, inline, codecs, notes = page
    parts = [heads, results or b"", inline or b"", (codecs or "").encode()]
    told = (notes or "").encode()
    form = _FORMAT
    if len(told) > _COMPRESS_ABOVE_BYTES:  # JSON of logs and tracebacks: a fifth remains
        form, told = _COMPRESSED, zlib.compress(told)
    return b"".join([_LENGTHS.pack(form, *map(len, parts)), *parts, told])


def from_bytes(data: bytes) -> Page:
    """The page that `to_bytes` was given. Raises `StoreTooNew`."""
    form, *lengths = _LENGTHS.unpack_from(data)
    if form not in (_FORMAT, _COMPRESSED):
        raise _too_new()
    parts, at = [], _LENGTHS.size
    for length in lengths:
        parts.append(data[at : at + length])
        at += length
    heads, results, inline, codecs = parts
    notes = zlib.decompress(data[at:]) if form == _COMPRESSED else data[at:]
    return heads, results, inline, codecs.decode(), notes.decode() or None


def _portions(events: Sequence[Event]) -> Iterator[list[Event]]:
    """Events that make up a page each."""
    portion: list[Event] = []
    size = 0
    for event in events:
        added = _size(event)
        if portion and (size + added > _PAGE_BYTES or len(portion) == _PAGE_EVENTS):
            yield portion
            portion, size = [], 0
        portion.append(event)
        size += added
    yield portion


def _size(event: Event) -> int:
    size = _EVENT_BYTES
    if event.output is not None and event.output.inline is not None:
        size += len(event.output.inline)
    if event.error is not None:
        size += len(event.error.traceback) + len(event.error.message)
    if event.data:
        size += len(str(event.data.get("text", ""))) + 100
    return size


def _too_new() -> StoreTooNew:
    return StoreTooNew(
        "A newer Fanfold wrote some of this job's events.",
        next_step="upgrade with `pip install --upgrade fanfold`.",
    )
