"""Runs whose inputs are to be results of an earlier job's runs that have none: they end before they begin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fanfold.codec import decode_json
from fanfold.codec.stored import AbsentResult
from fanfold.core.models import Event, EventKind, JobHeader, RunError, RunStatus
from fanfold.engines.base import Stores
from fanfold.stores.packing import Manifest


def refuse_runs(header: JobHeader, stores: Stores, indexes: Sequence[int], seen_to: bytearray) -> None:
    """Record that these runs have failed for want of an input, and mark them as seen to."""
    manifest = Manifest(stores.objects, header.id, header.count)
    events = []
    for index in indexes:
        error = next(_absent(decode_json(manifest.arguments(index), get_value=lambda *_: None))).error
        told = RunError(type(error).__name__, error.message, next_step=error.next_step)
        seen_to[index] = 1
        events.append(Event.new(header.id, index, 0, EventKind.FINISHED, status=RunStatus.FAILED, error=told))
    stores.log.append(events)


def _absent(value: Any) -> Iterator[AbsentResult]:
    """What a value lacks, wherever in it."""
    if isinstance(value, AbsentResult):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _absent(item)
    elif isinstance(value, dict):
        yield from _absent(list(value.values()))
