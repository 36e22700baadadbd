"""Events and outputs as rows of SQLite, and back: statuses as small numbers, hashes as bytes."""

from __future__ import annotations

import json
from typing import Any

from fanfold.models import CacheEntry, Event, EventKind, Output, RunError, RunStatus, Usage

# Positions are what is stored: only ever add at the end.
_KINDS = tuple(EventKind(name) for name in ("queued", "started", "finished", "machine", "log", "usage"))
_STATUSES = tuple(
    RunStatus(name)
    for name in (
        *("queued", "running", "succeeded", "cached", "failed"),
        *("timed_out", "out_of_memory", "cancelled", "lost"),
    )
)
_KIND_NUMBERS = {kind: number for number, kind in enumerate(_KINDS)}
_STATUS_NUMBERS: dict[RunStatus | None, int | None] = {status: number for number, status in enumerate(_STATUSES)}
_STATUS_NUMBERS[None] = None

Row = tuple[Any, ...]

OUTPUT_COLUMNS = "codec, sha256, size, inline, key"
STATE_COLUMNS = (
    f"row, id, run, attempt, kind, at, status, duration_s, cpu_s, peak_memory_mib, {OUTPUT_COLUMNS}, error, data"
)
TELEMETRY_COLUMNS = "row, id, run, attempt, kind, at, data"
CACHE_COLUMNS = f"cache_key, created_at, duration_s, job_id, {OUTPUT_COLUMNS}"

_NO_USAGE: Row = (None, None, None)
_NO_OUTPUT: Row = (None, None, None, None, None)


def hex_to_bytes(text: str) -> bytes | str:
    """Half the bytes where `text` is hexadecimal as it comes back; the text itself where it is not."""
    try:
        packed = bytes.fromhex(text)
    except ValueError:
        return text
    return packed if packed.hex() == text else text


def hex_from_bytes(stored: bytes | str) -> str:
    """What `hex_to_bytes` was given."""
    return stored.hex() if isinstance(stored, bytes) else stored


def state_row(number: int, event: Event) -> Row:
    """The event as a row of the table `state`."""
    usage, error = event.usage, event.error
    return (
        number,
        hex_to_bytes(event.id),
        event.index,
        event.attempt,
        _KIND_NUMBERS[event.kind],
        event.at,
        _STATUS_NUMBERS[event.status],
        *(_NO_USAGE if usage is None else (usage.duration_s, usage.cpu_s, usage.peak_memory_mib)),
        *output_row(event.output),
        None if error is None else _error_to_text(error),
        _data_to_text(event.data) if event.data else None,
    )


def state_event(job_id: str, row: Row) -> Event:
    """The event that `state_row` was given."""
    (
        _,
        event_id,
        run,
        attempt,
        kind,
        at,
        status,
        duration_s,
        cpu_s,
        peak_mib,
        codec,
        sha256,
        size,
        inline,
        key,
        error,
        data,
    ) = row
    return Event(
        job_id,
        run,
        attempt,
        _KINDS[kind],
        at,
        hex_from_bytes(event_id),
        None if status is None else _STATUSES[status],
        None if codec is None else Output(codec, hex_from_bytes(sha256), size, inline, key),
        None if error is None else _error_from_text(error),
        None if duration_s is None else Usage(duration_s, cpu_s, peak_mib),
        {} if data is None else json.loads(data),
    )


def telemetry_row(number: int, event: Event) -> Row:
    """The event as a row of the table `telemetry`."""
    kind = _KIND_NUMBERS[event.kind]
    return number, hex_to_bytes(event.id), event.index, event.attempt, kind, event.at, _data_to_text(event.data)


def telemetry_event(job_id: str, row: Row) -> Event:
    """The event that `telemetry_row` was given."""
    _, event_id, run, attempt, kind, at, data = row
    return Event(job_id, run, attempt, _KINDS[kind], at, hex_from_bytes(event_id), data=json.loads(data))


def output_row(output: Output | None) -> Row:
    """The columns `OUTPUT_COLUMNS` of an output."""
    if output is None:
        return _NO_OUTPUT
    return output.codec, hex_to_bytes(output.sha256), output.size, output.inline, output.key


def cache_row(entry: CacheEntry) -> Row:
    """The entry as a row of the table `cache`."""
    return hex_to_bytes(entry.key), entry.created_at, entry.duration_s, entry.job_id, *output_row(entry.output)


def cache_entry(row: Row) -> CacheEntry:
    """The entry that `cache_row` was given."""
    key, created_at, duration_s, job_id, codec, sha256, size, inline, object_key = row
    output = Output(codec, hex_from_bytes(sha256), size, inline, object_key)
    return CacheEntry(hex_from_bytes(key), output, created_at, duration_s, job_id)


def _data_to_text(data: Any) -> str:
    return json.dumps(dict(data), ensure_ascii=False, separators=(",", ":"))


def _error_to_text(error: RunError) -> str:
    facts = (error.type, error.message, error.traceback, error.types, error.infrastructure)
    return json.dumps(facts, separators=(",", ":"))


def _error_from_text(text: str) -> RunError:
    name, message, traceback, types, infrastructure = json.loads(text)
    return RunError(name, message, traceback, tuple(types), infrastructure)
