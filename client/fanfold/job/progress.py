"""The progress bar, and the words beside it that say what a job waits for."""

from __future__ import annotations

import sys
import time
from itertools import islice
from types import TracebackType
from typing import Any

from fanfold.amounts import duration
from fanfold.fold import JobState
from fanfold.models import THROTTLED, JobHeader, RunStatus

#: A job that ends before this shows no bar: it would only flash.
_AFTER_S = 0.5
#: Seconds between two drawings: often where somebody looks, rarely where each is a line in a file.
_TERMINAL_S, _FILE_S = 0.1, 10.0
#: After so long it is not a start that realtime runs wait for; Step Functions tells of a throttle only in the end.
_LATE_S = 30.0
#: Among so many of the runs that wait, one that was throttled is looked for.
_LOOKED_AT = 100
#: A longer name would push off the bar what it says at its end.
_NAME_CHARACTERS = 20
_FREE_WORKER = "waiting for a free worker"


class Progress:
    """A tqdm bar for one job; silent where nobody looks, unless asked for."""

    def __init__(self, header: JobHeader, *, shown: bool | None = None, stays: bool = True) -> None:
        self._header = header
        self._stays = stays
        #: Said before what the job waits for.
        self.stage = ""
        self._shown = _is_watched() if shown is None else shown
        self._after_s = 0.0 if shown else _AFTER_S
        self._began = self._drawn = time.monotonic()
        self._bar: Any = None

    @property
    def visible(self) -> bool:
        """True where a bar has been drawn."""
        return self._bar is not None

    def show(self, state: JobState) -> None:
        """Bring the bar to this state."""
        if not self._shown:
            return
        if self._bar is None and time.monotonic() - self._began < self._after_s:
            return
        counts = state.counts()
        ended = sum(count for status, count in counts.items() if status.final)
        bar = self._bar or self._open(ended)
        bar.set_postfix_str(", ".join(filter(None, (self.stage, _words(state, counts)))), refresh=False)
        now = time.monotonic()
        if bar.update(ended - bar.n):
            self._drawn = now
        elif now - self._drawn >= bar.mininterval:
            bar.refresh()  # nothing has ended, but time goes on, and what the job waits for may have changed
            self._drawn = now

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def _open(self, ended: int) -> Any:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tqdm warns where a notebook lacks ipywidgets; its text bar will do
            from tqdm.auto import tqdm
        name = self._header.name
        interval_s = _TERMINAL_S if sys.stderr.isatty() else _FILE_S
        self._bar = tqdm(
            total=self._header.count,
            initial=ended,  # what had ended before tells nothing of how fast the rest will
            desc=name if len(name) <= _NAME_CHARACTERS else f"{name[: _NAME_CHARACTERS - 1]}…",
            unit="run",
            dynamic_ncols=True,
            mininterval=interval_s,
            leave=self._stays,
        )
        return self._bar


def _words(state: JobState, counts: dict[RunStatus, int]) -> str:
    bad = {status: count for status, count in counts.items() if count and status.final and not status.good}
    words = [f"{counts[RunStatus.RUNNING]} running"] if counts[RunStatus.RUNNING] else []
    words += [f"{count} {status.value.replace('_', ' ')}" for status, count in bad.items()]
    if counts[RunStatus.CACHED]:
        words.append(f"{counts[RunStatus.CACHED]} cached")
    if not counts[RunStatus.RUNNING] and counts[RunStatus.QUEUED]:
        words.append(waiting_for(state))
    return ", ".join(words)


def waiting_for(state: JobState) -> str:
    """What keeps a job's queued runs from running."""
    latest = max(state.machines.values(), key=lambda event: event.id, default=None)
    if latest is None:
        return "waiting to be started"
    if latest.data.get("reason"):
        return str(latest.data["reason"])
    starting, machine = latest.data.get("state") == "starting", state.header.instance_type
    if state.header.engine != "aws":  # whatever instance type a job here asks for, a process runs it
        return "waiting for a process to start" if starting else _FREE_WORKER
    if machine is not None:
        return f"waiting for a {machine} to start" if starting else _FREE_WORKER
    if starting:
        return "being handed to AWS Lambda"
    return _throttled(state) or _begins_late(time.time() - latest.at)


def _begins_late(waited_s: float) -> str:
    if waited_s < _LATE_S:
        return "waiting for AWS Lambda to begin"
    return f"AWS Lambda begins none for {duration(waited_s)}: most likely as many runs run as the account allows"


def _throttled(state: JobState) -> str | None:
    """Why AWS would not start some of the runs that wait, in its own words; None where it has refused none."""
    waiting = islice(state.indexes(RunStatus.QUEUED), _LOOKED_AT)
    errors = (state.error(index) for index in waiting)
    return next((error.message for error in errors if error is not None and error.type == THROTTLED), None)


def in_notebook() -> bool:
    """True in a notebook's kernel."""
    shell = sys.modules.get("IPython")
    running = shell.get_ipython() if shell is not None else None
    return running is not None and "IPKernelApp" in getattr(running, "config", {})


def _is_watched() -> bool:
    """True at a terminal, and in a notebook."""
    return in_notebook() or (sys.stderr is not None and sys.stderr.isatty())
