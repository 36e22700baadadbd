"""Jobs, events and cache entries to store."""

from __future__ import annotations

import hashlib
import time
from typing import Any

from fanfold.core.models import CacheEntry, Event, EventKind, JobHeader, Output, RunError, RunStatus, Usage, new_job_id


def a_job(**facts: Any) -> JobHeader:
    """The header of a job of ten runs, with an id of its own."""
    defaults: dict[str, Any] = {
        "id": new_job_id(),
        "name": "delays",
        "count": 10,
        "engine": "local",
        "owner": "ada",
        "created_at": 1_700_000_000.25,
        "bundle_sha256": "b" * 64,
        "code_hash": "c" * 64,
        "parameters": ("day", "carrier"),
        "retry_on": ("ConnectionError",),
    }
    return JobHeader(**{**defaults, **facts})


def an_output(data: bytes = b"42", *, key: str | None = None) -> Output:
    """An output that travels inline, or is the object at `key`."""
    return Output("json", hashlib.sha256(data).hexdigest(), len(data), None if key else data, key)


def finished(job_id: str, index: int, attempt: int = 0, **facts: Any) -> Event:
    """A run's good end."""
    defaults = {"status": RunStatus.SUCCEEDED, "output": an_output(b"%d" % index), "usage": Usage(1.5, 0.5, 48.25)}
    return Event.new(job_id, index, attempt, EventKind.FINISHED, **{**defaults, **facts})


def failed(job_id: str, index: int, attempt: int = 0) -> Event:
    """A run's bad end."""
    error = RunError("ValueError", "no such day: 32 März", "Traceback ...", ("ValueError", "Exception"), False)
    return Event.new(job_id, index, attempt, EventKind.FINISHED, status=RunStatus.FAILED, error=error)


def printed(job_id: str, index: int, text: str) -> Event:
    """A line that a run wrote."""
    return Event.new(job_id, index, 0, EventKind.LOG, data={"text": text})


def an_entry(name: str, *, age_s: float = 0.0, data: bytes = b"42") -> CacheEntry:
    """A cached result under the key that belongs to `name`."""
    key = hashlib.sha256(name.encode()).hexdigest()
    return CacheEntry(key, an_output(data), time.time() - age_s, 2.5, "20260131-141502-river-7f3a")
