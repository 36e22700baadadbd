"""Keeps what a pool reports: large results first, then events and cache entries. Every engine records by it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from fanfold.contract.layout import result_key
from fanfold.core.models import TELEMETRY, CacheEntry, Event, EventKind, JobHeader
from fanfold.engines.base import Stores
from fanfold.execution.calls import Report


class Recorder:
    """Records one job's reports. `cache_key` gives each run's.

    A result is stored before the event that tells of it: a run counts as done only when nothing of it can be lost.
    `hold_s`: what runs print and use is held back so long, to write more of it at once.
    """

    def __init__(
        self, header: JobHeader, stores: Stores, cache_key: Callable[[int], str], *, hold_s: float = 0.0
    ) -> None:
        self._header = header
        self._stores = stores
        self._cache_key = cache_key
        self._hold_s = hold_s
        self._held: list[Event] = []
        self._flushed_at = 0.0

    def record(self, reports: Sequence[Report]) -> list[Event]:
        """Keep what happened; the events that are now on record and are not output or load. Again is harmless."""
        events = [self._stored(report) for report in reports]
        if not self._hold_s:
            self._write(events)
            return events
        state = [event for event in events if event.kind not in TELEMETRY]
        telemetry = [event for event in events if event.kind in TELEMETRY]
        if state:
            self._write([*self._held, *telemetry, *state])
        else:
            self._held += telemetry
            self.flush()
        return state

    def flush(self) -> None:
        """Record output that has been held back for long enough."""
        if self._held and time.monotonic() - self._flushed_at >= self._hold_s:
            self._write(self._held)

    def _write(self, events: Sequence[Event]) -> None:
        outputs = [event for event in events if event.kind is EventKind.FINISHED and event.output is not None]
        self._stores.record(events, [self._entry(event) for event in outputs] if self._header.cache else [])
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
