"""Keeps what a pool reports: large results first, then events and cache entries together, output about every second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from fanfold.contract.layout import result_key
from fanfold.core.models import TELEMETRY, CacheEntry, Event, EventKind, JobHeader
from fanfold.errors import FanfoldError
from fanfold.execution.calls import Feed, Report
from fanfold.execution.pool.pool import Pool
from fanfold.stores.aws import AwsStores
from fanfold.stores.aws.job_headers import Heads

#: What runs print is held back so long: a line each would be a write each.
_TELEMETRY_S = 1.0


class Recorder:
    """Records one job's reports. `cache_key` tells each run's."""

    def __init__(self, header: JobHeader, stores: AwsStores, cache_key: Callable[[int], str]) -> None:
        self._header = header
        self._stores = stores
        self._cache_key = cache_key
        self._held: list[Event] = []
        self._flushed_at = 0.0

    def record(self, reports: Sequence[Report]) -> list[Event]:
        """Keep what happened; the events that are now on record and are not output or load. Again is harmless."""
        events = [self._stored(report) for report in reports]
        told = [event for event in events if event.kind not in TELEMETRY]
        telemetry = [event for event in events if event.kind in TELEMETRY]
        entries = [self._entry(event) for event in told if event.output is not None] if self._header.cache else []
        if told:
            self._stores.record([*self._held, *telemetry, *told], entries)
            self._held, self._flushed_at = [], time.monotonic()
        else:
            self._held += telemetry
            self.flush()
        return told

    def flush(self) -> None:
        """Record output that has been held back for long enough."""
        if self._held and time.monotonic() - self._flushed_at >= _TELEMETRY_S:
            self._stores.log.append(self._held)
            self._held, self._flushed_at = [], time.monotonic()

    def _stored(self, report: Report) -> Event:
        event = report.event
        if event.output is None or event.output.inline is not None:
            return event
        key = result_key(self._cache_key(event.index), event.output.sha256)
        if report.result_file is not None and report.result_file.exists():  # else stored by an earlier try
            self._stores.objects.put_file(key, report.result_file)
        return event._replace(output=event.output._replace(key=key))

    def _entry(self, event: Event) -> CacheEntry:
        assert event.output is not None
        took_s = event.usage.duration_s if event.usage else 0.0
        return CacheEntry(self._cache_key(event.index), event.output, event.at, took_s, event.job_id)


def finished(events: Sequence[Event]) -> list[Event]:
    """Those that end an attempt."""
    return [event for event in events if event.kind is EventKind.FINISHED]


# Serving a job's runs to their end, with an eye on its cancel flag.


class Recording(Feed, Protocol):
    """A feed that holds output back, to record more of it at once."""

    def flush(self) -> None:
        """Record what has been held back for long enough."""


def serve(pool: Pool, feed: Recording, flag: CancelFlag) -> bool:
    """Serve a feed until it has nothing for now; False where its job was cancelled."""
    cancelled = False
    pool.add(feed)
    while pool.serves(feed):
        pool.step()
        feed.flush()
        if not cancelled and flag.is_set():
            cancelled = True
            pool.cancel(feed)
    return not cancelled


class CancelFlag:
    """Whether a job has been cancelled, as far as is known.

    It is asked for in a thread of its own: AWS may let one wait for long, and meanwhile the limits of the runs are
    watched. Where it cannot be had it is asked for again: no run ends for that.
    """

    def __init__(self, heads: Heads, job_id: str, every_s: float) -> None:
        self._heads, self._job_id, self._every_s = heads, job_id, every_s
        self._asked_at = time.monotonic()
        self._asking: threading.Thread | None = None
        self._is_set = False

    def is_set(self) -> bool:
        """What was found last; asks anew every `every_s` seconds, and does not wait for the answer."""
        waits = self._asking is not None and self._asking.is_alive()
        if not self._is_set and not waits and time.monotonic() - self._asked_at > self._every_s:
            self._asked_at = time.monotonic()
            self._asking = threading.Thread(target=self._ask, name="fanfold-cancel", daemon=True)
            self._asking.start()
        return self._is_set

    def _ask(self) -> None:
        self._is_set = is_cancelled(self._heads, self._job_id)


def is_cancelled(heads: Heads, job_id: str) -> bool:
    """Whether a job has been cancelled by now; False also where that cannot be had."""
    try:
        return heads.read(job_id).header.cancelled_at is not None
    except FanfoldError:
        return False
