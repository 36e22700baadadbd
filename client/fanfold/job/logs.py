"""What runs print and what they use, read from the log's telemetry."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Container, Iterator
from contextlib import nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, TextIO

from fanfold.core.fold import JobState
from fanfold.core.models import Event, EventKind
from fanfold.errors import StoreUnavailable
from fanfold.job.results import Contents
from fanfold.job.waiting import Progress, Tracker, is_watched

if TYPE_CHECKING:
    import pandas as pd


#: What a machine tells of its load.
_SAMPLED = ("cpu_percent", "memory_mib", "disk_free_mib", "network_in_mib", "network_out_mib", "machine")


#: Seconds between two looks for output of a run that somebody waits for: each costs money where the log is far away.
_OUTPUT_S = 1.0


class Logs(list[str]):
    """What each run of a job has printed, by index. As text, each line stands after its run's number."""

    @classmethod
    def of(cls, count: int, printed: dict[int, str]) -> Logs:
        """The logs of `count` runs, of which those in `printed` have printed something."""
        return cls(printed.get(index, "") for index in range(count))

    def __str__(self) -> str:
        return "".join(_with_prefix(index, printed) for index, printed in enumerate(self))

    __repr__ = __str__


def text(contents: Contents, index: int) -> str:
    """What one run has printed."""
    return by_run(contents, index).get(index, "")


def by_run(contents: Contents, only: int | None = None) -> dict[int, str]:
    """What each run that has printed anything has printed, or one run alone."""
    pieces: dict[int, list[Event]] = {}
    for event in LogReader(contents, None if only is None else {only}).news():
        pieces.setdefault(event.index, []).append(event)
    return {run: _join(events) for run, events in sorted(pieces.items())}


def follow(tracker: Tracker, contents: Contents, index: int | None = None) -> None:
    """Write what runs print to stdout as it comes, until the job is done."""
    follower = _LogWriter(contents, index)
    try:
        for _ in _moments(tracker):
            tracker.patiently(follower.write_news)
    except KeyboardInterrupt:
        sys.stdout.write(f"\n(stopped looking; job {tracker.header.id} goes on)\n")


class _LogWriter:
    """Writes what it has not yet written of what all runs print, or one."""

    def __init__(self, contents: Contents, index: int | None) -> None:
        self._reader, self._one = LogReader(contents, None if index is None else {index}), index is not None

    def write_news(self) -> None:
        """Write what is new."""
        out = sys.stdout
        for event in self._reader.news():
            printed = str(event.data["text"])
            out.write(printed if self._one else _with_prefix(event.index, printed))
        out.flush()


def show_output(
    tracker: Tracker, contents: Contents, *, progress: bool | None = None, out: TextIO | None = None
) -> None:
    """Wait for a job of one run, and write what the run prints to `out` (stdout) as it prints it.

    Where somebody looks, the job's id stands on stderr first: `fanfold logs ID` and the page find the job by it.
    """
    reader, looked_at = LogReader(contents), 0.0
    if is_watched():
        sys.stderr.write(f"fanfold: {tracker.header.name}, job {tracker.header.id}\n")
    with Progress(tracker.header, shown=progress) as bar:

        def look(state: JobState) -> None:
            nonlocal looked_at
            bar.show(state)
            if state.silence or not (state.done or time.monotonic() - looked_at >= _OUTPUT_S):
                return
            looked_at = time.monotonic()
            with nullcontext() if state.done else suppress(StoreUnavailable):  # else the next look tells it
                for event in reader.news(tracker.patiently if state.done else _ask_once):
                    bar.write(str(event.data["text"]), out or sys.stdout)

        for state in tracker.changes(idle=look):
            look(state)
    if tracker.header.costs_money:
        from fanfold.job.display import say_lost_files

        say_lost_files(tracker.state)


_Page = tuple[list[Event], str]


def _ask_once(act: Callable[[], _Page]) -> _Page:
    return act()


class LogReader:
    """What a job's runs print, piece by piece, each once, however often a store that is far away tells of it.

    `runs`: only these of them.
    """

    def __init__(self, contents: Contents, runs: Container[int] | None = None) -> None:
        self._contents = contents
        self._runs = runs
        self._cursor: str | None = None
        self._ids: set[str] = set()

    def news(self, ask: Callable[[Callable[[], _Page]], _Page] = _ask_once) -> Iterator[Event]:
        """What was printed since the last look. `ask` makes each call for a page, several times perhaps.

        Where a page was not to be had, the next look begins with it.
        """
        while True:
            events, self._cursor = ask(partial(self._contents.telemetry_page, self._cursor))
            if not events:
                return
            for event in events:
                wanted = event.kind is EventKind.LOG and (self._runs is None or event.index in self._runs)
                if wanted and event.id not in self._ids:
                    self._ids.add(event.id)
                    yield event


def usage_samples(contents: Contents) -> pd.DataFrame:
    """A job's load over time, one row a sample: percent of a core, MiB, and MiB in and out since the sample before.

    Only machines in AWS say which they are, and count what goes over their network.
    """
    import pandas as pd

    rows = [{"at": event.at, "run": event.index, **event.data} for event in contents.telemetry(EventKind.USAGE)]
    frame = pd.DataFrame(rows, columns=["at", "run", *_SAMPLED])
    frame["at"] = pd.to_datetime(frame["at"], unit="s", utc=True)
    return frame.drop_duplicates().sort_values("at", ignore_index=True)


def _moments(tracker: Tracker) -> Iterator[None]:
    """Now, whenever something may have been printed, and once more when all is over."""
    while not tracker.patiently(tracker.look).done:
        yield
        tracker.engine.wait_for_news(0.25)
    yield


def _join(events: list[Event]) -> str:
    """One run's output; of a run that was tried again, each attempt under its number."""
    events.sort(key=lambda event: (event.attempt, event.id))
    attempts = list(dict.fromkeys(event.attempt for event in events))
    if len(attempts) == 1:
        return "".join(str(event.data["text"]) for event in events)
    return "".join(
        f"--- attempt {attempt} ---\n" + "".join(str(e.data["text"]) for e in events if e.attempt == attempt)
        for attempt in attempts
    )


def _with_prefix(index: int, printed: str) -> str:
    return "".join(f"[{index}] {line}\n" for line in printed.splitlines())
