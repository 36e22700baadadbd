"""Jobs to look at, written straight into a store: a page shows a header and events from any writer."""

from __future__ import annotations

import socket
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import fanfold
from fanfold.core.models import Event, EventKind, JobHeader, Output, ProcessRecord, RunError, RunStatus, Usage, to_event
from fanfold.core.options import Options, Request
from fanfold.engines.feed import Heartbeat
from fanfold.engines.local.engine import LocalEngine
from fanfold.submission.prepare import prepare

HOSTILE = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'> \x1b[31mred\x1b[0m"

FLIGHTS = """\
import fanfold
from typing import Literal


@fanfold.udf
def delays(day: str = "2013-01-01", n: int = 3, unit: Literal["min", "h"] = "min", late: bool = True):
    import pandas as pd

    print("reading <b>", day)
    return pd.DataFrame({"day": [day] * n, "delay": range(n), "unit": unit})
"""
HEAVY = """\
import fanfold


@fanfold.udf(instance_type="small")
def heavy(x: int = 2):
    return x * 21
"""


@fanfold.udf
def delays(x: int):
    return x * x


class Store:
    """A home, and what is put into it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.engine = LocalEngine(home)
        self.log = self.engine.stores.log
        self._heartbeat = Heartbeat(home / "running")

    def job(self, udf: Any, inputs: Any, *, up_s: float = 0.0, **request: Any) -> JobHeader:
        """A job that nobody has started. This process is said to work on it, so that nobody takes it over."""
        submission = prepare(udf, inputs, self.engine, Request.of(Options(), **request), {})
        header = submission.header
        process = ProcessRecord(self._heartbeat.name, socket.gethostname())
        self.log.append([to_event(header.id, process, at=header.created_at + up_s)])
        return header

    def finished(self, count: int, *, failing: int = 0, udf: Any = delays) -> JobHeader:
        """A job of which every run has ended; every `failing`-th badly."""
        header = self.job(udf, range(count), cache=False)
        self.log.append([ended(header, index, bad=bool(failing) and index % failing == 3) for index in range(count)])
        return header

    def dedicated(self) -> JobHeader:
        """24 runs, four at a time on two machines of which one was up after 33 s, a sample of each every second."""
        header = self.job(delays, range(24), cache=False, up_s=33.0, instance_type_name="medium")
        events = []
        for index in range(24):
            began, took_s = header.created_at + 34 + 26 * (index // 4), 20.0 + index % 4
            for second in range(1, int(took_s)):
                measured = {
                    "cpu_percent": 96.0 - second % 3,
                    "memory_mib": 400.0 + 20 * second,
                    "disk_free_mib": 48_000.0 - 60 * (began - header.created_at + second),
                    "network_in_mib": 12.0 if second < 6 else 0.2,
                    "network_out_mib": 0.1 if second < 16 else 4.0,
                    "machine": f"batch-{index % 2}.1",
                }
                events.append(Event.new(header.id, index, 0, EventKind.USAGE, at=began + second, data=measured))
            events.append(ended(header, index, at=began + took_s, took_s=took_s))
        self.log.append(events)
        return header

    def says(self, header: JobHeader, index: int, text: str) -> None:
        """A run prints something."""
        self.log.append([Event.new(header.id, index, 0, EventKind.LOG, data={"text": text})])

    def starts(self, header: JobHeader, *indexes: int) -> None:
        """Runs begin."""
        self.log.append([Event.new(header.id, index, 0, EventKind.STARTED) for index in indexes])

    def fails(self, header: JobHeader, *indexes: int) -> None:
        """Runs end badly."""
        self.log.append([ended(header, index, bad=True, at=time.time()) for index in indexes])

    def ends(self, header: JobHeader, *indexes: int) -> None:
        """Runs end well."""
        self.log.append([ended(header, index, at=time.time()) for index in indexes])


@contextmanager
def unanswering(store: Store) -> Iterator[None]:
    """The store's tables are out of reach meanwhile."""
    with sqlite3.connect(store.home / "fanfold.db", timeout=30) as connection:
        connection.execute("ALTER TABLE state RENAME TO state_away")
        connection.execute("ALTER TABLE jobs RENAME TO jobs_away")
        connection.commit()
        try:
            yield
        finally:
            connection.execute("ALTER TABLE state_away RENAME TO state")
            connection.execute("ALTER TABLE jobs_away RENAME TO jobs")
            connection.commit()
    connection.close()


def ended(
    header: JobHeader, index: int, *, bad: bool = False, at: float | None = None, took_s: float | None = None
) -> Event:
    """The end of a run: 200 side by side, each of some seconds."""
    took_s = 2.0 + index % 7 if took_s is None else took_s
    at = header.created_at + 9.0 * (index // 200) + 3 + took_s if at is None else at
    usage = Usage(took_s, took_s * 0.6, 300.0 + index % 50)
    if bad:
        trace = (
            f'Traceback (most recent call last):\n  File "delays.py", line 3, in delays\nValueError: {index} is odd\n'
        )
        error = RunError("ValueError", f"{index} is odd", trace)
        return Event.new(
            header.id, index, 0, EventKind.FINISHED, at=at, status=RunStatus.FAILED, error=error, usage=usage
        )
    output = _output(str(index * index).encode())
    return Event.new(
        header.id, index, 0, EventKind.FINISHED, at=at, status=RunStatus.SUCCEEDED, output=output, usage=usage
    )


def _output(data: bytes) -> Output:
    from hashlib import sha256

    return Output("json/1", sha256(data).hexdigest(), len(data), data)
