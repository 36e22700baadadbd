"""Events as pages: what one append tells of a job is one packed record; a row an event would take five times as long.

A page has a fixed record for each event (`heads`), one more for each that has an output or a usage (`results`), the
inline results end to end, the names of the codecs, and as JSON the notes: what few events have (errors, data, keys).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from math import isnan, nan
from struct import Struct
from struct import error as struct_error
from typing import Any

from fanfold.core.hex_packing import compact_to
from fanfold.core.job_records import upgrade
from fanfold.core.models import Event, EventKind, Output, RunError, RunStatus, Usage
from fanfold.errors import StoreError, StoreTooNew

# Positions are what is stored: only ever add at the end.
_KINDS = (
    *(EventKind(name) for name in ("queued", "started", "finished", "machine", "log", "usage")),
    *(EventKind(name) for name in ("process", "runner", "dispatch", "queue", "throttle", "execution_failure")),
    EventKind("stop"),
)
_STATUSES = (
    None,
    *(RunStatus(name) for name in ("queued", "running", "succeeded", "cached", "failed")),
    *(RunStatus(name) for name in ("timed_out", "out_of_memory", "cancelled", "lost")),
)
_KIND_NUMBERS = {kind: number for number, kind in enumerate(_KINDS)}
_STATUS_NUMBERS = {status: number for number, status in enumerate(_STATUSES)}

#: id, run, attempt, kind, status, at, whether a result record belongs to it
_HEAD = Struct("<14siiBBd?")
#: seconds, CPU seconds and peak MiB (NaN: no usage);
#: number of the codec (-1: no output), sha256, size, inline size (-1: not inline)
_RESULT = Struct("<dddh32sqi")

_ID_BYTES, _SHA256_BYTES = 14, 32

#: heads, results, inline, codecs, notes
EventPage = tuple[bytes, bytes | None, bytes | None, str | None, str | None]
COLUMNS = "heads, results, inline, codecs, notes"


def pack(events: Sequence[Event]) -> EventPage:
    """The events of one job as a page."""
    heads: list[bytes] = []
    results: list[bytes] = []
    inlines: list[bytes] = []
    codecs: dict[str, int] = {}
    notes: dict[int, dict[str, Any]] = {}
    for position, event in enumerate(events):
        output, usage = event.output, event.usage
        has_result = output is not None or usage is not None
        event_id = compact_to(_ID_BYTES, event.id)
        kind, status = _KIND_NUMBERS[event.kind], _STATUS_NUMBERS[event.status]
        heads.append(_HEAD.pack(event_id, event.index, event.attempt, kind, status, event.at, has_result))
        digest = b"" if output is None else compact_to(_SHA256_BYTES, output.sha256)
        if has_result:
            results.append(_pack_result(output, usage, codecs, digest))
            if output is not None and output.inline is not None:
                inlines.append(output.inline)
        note = _note(event, event_id, digest)
        if note:
            notes[position] = note
    return (
        b"".join(heads),
        b"".join(results) or None,
        b"".join(inlines) or None,
        "\n".join(codecs) or None,
        _to_json(notes) if notes else None,
    )


def unpack(job_id: str, page: EventPage) -> list[Event]:
    """The events that `pack` was given. Raises `StoreError` for a page that is damaged, or a newer Fanfold's."""
    try:
        return _unpack(job_id, page)
    except (struct_error, ValueError, LookupError, TypeError, AttributeError, StopIteration) as error:
        raise StoreError(
            f"What is recorded of job {job_id} is damaged: {type(error).__name__}: {error}.",
            next_step="other jobs are as they were; submit this one again: what is in the cache is not computed again.",
        ) from error


def _unpack(job_id: str, page: EventPage) -> list[Event]:
    heads, packed_results, inline, codecs, notes = page
    results = _unpack_results(packed_results or b"", inline or b"", (codecs or "").split("\n"))
    kinds, statuses = _KINDS, _STATUSES
    events = []
    for event_id, run, attempt, kind, status, at, has_result in _HEAD.iter_unpack(heads):
        output, usage = next(results) if has_result else (None, None)
        if kind >= len(kinds):
            raise StoreTooNew(
                f"A newer Fanfold has recorded an event of job {job_id} that this one does not know (kind {kind}).",
                next_step="upgrade with `pip install --upgrade fanfold`.",
            )
        events.append(
            Event(job_id, run, attempt, kinds[kind], at, event_id.hex(), statuses[status], output, None, usage, {})
        )
    if notes is not None:
        for position, note in json.loads(notes).items():
            events[int(position)] = _amended(events[int(position)], note)
    return events


def object_keys(notes: str) -> list[str]:
    """The keys of all objects that a page's events refer to."""
    return [note["key"] for note in json.loads(notes).values() if "key" in note]


def _pack_result(output: Output | None, usage: Usage | None, codecs: dict[str, int], digest: bytes) -> bytes:
    times = (nan, nan, nan) if usage is None else (usage.duration_s, usage.cpu_s, usage.peak_memory_mib)
    if output is None:
        return _RESULT.pack(*times, -1, b"", 0, -1)
    codec = codecs.setdefault(output.codec, len(codecs))
    inline_size = -1 if output.inline is None else len(output.inline)
    return _RESULT.pack(*times, codec, digest, output.size, inline_size)


def _unpack_results(packed: bytes, inline: bytes, codecs: list[str]) -> Iterator[tuple[Output | None, Usage | None]]:
    start = 0
    for duration_s, cpu_s, peak_mib, codec, digest, size, inline_size in _RESULT.iter_unpack(packed):
        stop = start + max(0, inline_size)
        data = None if inline_size < 0 else inline[start:stop]
        start = stop
        yield (
            None if codec < 0 else Output(codecs[codec], digest.hex(), size, data),
            None if isnan(duration_s) else Usage(duration_s, cpu_s, peak_mib),
        )


def _note(event: Event, event_id: bytes, digest: bytes) -> dict[str, Any]:
    note: dict[str, Any] = {}
    output, error = event.output, event.error
    if not event_id:
        note["id"] = event.id
    if output is not None and output.key is not None:
        note["key"] = output.key
    if output is not None and not digest:
        note["sha256"] = output.sha256
    if error is not None:
        note["error"] = tuple(error)
    if event.data:
        note["data"] = dict(event.data)
    return note


def _amended(event: Event, note: dict[str, Any]) -> Event:
    changes: dict[str, Any] = {name: note[name] for name in ("id", "data") if name in note}
    if "error" in note:
        error = RunError(*note["error"])
        changes["error"] = error._replace(types=tuple(error.types))
    if event.output is not None:
        changes["output"] = event.output._replace(**{name: note[name] for name in ("key", "sha256") if name in note})
    return upgrade(event._replace(**changes))


def _to_json(value: Any) -> str:
    # Escaped: text with a lone surrogate, which prints may hold, could not be stored otherwise.
    return json.dumps(value, separators=(",", ":"))
