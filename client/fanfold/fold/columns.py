"""What is known of each run, one array a fact: a million runs take about 50 MB."""

from __future__ import annotations

from array import array
from math import isnan, nan

from fanfold.fold.spool import Spool
from fanfold.models import Event, Output, RunStatus, Usage

STATUSES = tuple(RunStatus)
CODES = {status: code for code, status in enumerate(STATUSES)}


class Columns:
    """The terminal event that counts so far, of each of `count` runs; its output is in a spool.

    `attempts` holds -1 and the times NaN where nothing has ended yet. Times are seconds since 1970.
    """

    __slots__ = (
        "_offsets",
        "_sizes",
        "_spool",
        "attempts",
        "cpu_s",
        "duration_s",
        "ended_as",
        "finished_at",
        "peak_memory_mib",
    )

    def __init__(self, count: int) -> None:
        self.ended_as = bytearray(count)
        self.attempts = array("i", [-1]) * count
        self.finished_at = array("d", [nan]) * count
        self.duration_s = array("d", [nan]) * count
        self.cpu_s = array("d", [nan]) * count
        self.peak_memory_mib = array("d", [nan]) * count
        self._offsets = array("q", [0]) * count
        self._sizes = array("i", [0]) * count
        self._spool = Spool()

    def put(self, index: int, code: int, event: Event) -> None:
        """Let `event`, which ended the run with status number `code`, be the one that counts."""
        self.ended_as[index] = code
        self.attempts[index] = event.attempt
        self.finished_at[index] = event.at
        usage = event.usage
        if usage is not None:
            self.duration_s[index] = usage.duration_s
            self.cpu_s[index] = usage.cpu_s
            self.peak_memory_mib[index] = usage.peak_memory_mib
        elif not isnan(self.duration_s[index]):  # an earlier winner's
            self.duration_s[index] = self.cpu_s[index] = self.peak_memory_mib[index] = nan
        record = _pack(event.id, event.output)
        self._offsets[index] = self._spool.add(record)
        self._sizes[index] = len(record)

    def event_id(self, index: int) -> str:
        """The id of the terminal event that counts."""
        return self._record(index).partition(b"\n")[0].decode()

    def output(self, index: int) -> Output | None:
        """Where the result is kept, if there is one."""
        return _unpack(self._record(index))

    def usage(self, index: int) -> Usage | None:
        """What the attempt took, if that is known."""
        duration_s = self.duration_s[index]
        if isnan(duration_s):
            return None
        return Usage(duration_s, self.cpu_s[index], self.peak_memory_mib[index])

    def _record(self, index: int) -> bytes:
        return self._spool.read(self._offsets[index], self._sizes[index])


def _pack(event_id: str, output: Output | None) -> bytes:
    if output is None:
        return event_id.encode()
    inline = output.inline
    head = f"{event_id}\n{output.codec}\n{output.sha256}\n{output.size}\n{output.key or ''}\n".encode()
    return head if inline is None else head + inline


def _unpack(record: bytes) -> Output | None:
    if b"\n" not in record:
        return None
    _, codec, sha256, size, key, inline = record.split(b"\n", 5)
    return Output(codec.decode(), sha256.decode(), int(size), None if key else inline, key.decode() or None)
