"""The progress bar, and the words beside it that say what a job waits for."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from fanfold.fold import JobState
from fanfold.models import JobHeader, RunStatus

#: A job that ends before this shows no bar: it would only flash.
_AFTER_S = 0.5
#: Seconds between two drawings: often where somebody looks, rarely where each is a line in a file.
_TERMINAL_S, _FILE_S = 0.1, 10.0


class Progress:
    """A tqdm bar for one job; silent where nobody looks, unless asked for."""

    def __init__(self, header: JobHeader, *, shown: bool | None = None) -> None:
        self._header = header
        self._shown = _is_watched() if shown is None else shown
        self._after_s = 0.0 if shown else _AFTER_S
        self._began = time.monotonic()
        self._bar: Any = None

    def show(self, state: JobState) -> None:
        """Bring the bar to this state."""
        if not self._shown:
            return
        if self._bar is None and time.monotonic() - self._began < self._after_s:
            return
        counts = state.counts()
        ended = sum(count for status, count in counts.items() if status.final)
        bar = self._bar or self._open()
        bar.set_postfix_str(_words(state, counts), refresh=False)
        if not bar.update(ended - bar.n) and time.time() - bar.last_print_t > bar.mininterval:
            bar.refresh()  # nothing has ended, but what the job waits for may have changed

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def _open(self) -> Any:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # tqdm warns where a notebook lacks ipywidgets; its text bar will do
            from tqdm.auto import tqdm
        interval_s = _TERMINAL_S if sys.stderr.isatty() else _FILE_S
        self._bar = tqdm(
            total=self._header.count, desc=self._header.name, unit="run", dynamic_ncols=True, mininterval=interval_s
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
    if latest.data.get("state") == "starting":
        return f"waiting for a {state.header.instance_type or 'machine'} to start"
    return "waiting for a free worker"


def _is_watched() -> bool:
    """True at a terminal, and in a notebook."""
    shell = sys.modules.get("IPython")
    if shell is not None:
        running = shell.get_ipython()
        if running is not None and "IPKernelApp" in getattr(running, "config", {}):
            return True
    return sys.stderr is not None and sys.stderr.isatty()
