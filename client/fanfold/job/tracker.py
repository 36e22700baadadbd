"""Follows a job: its header, its events as they come, and the waiting in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from fanfold.engines.protocol import Engine
from fanfold.errors import WaitTimeout
from fanfold.fold import JobState
from fanfold.locks import Locked
from fanfold.models import Event, JobHeader

#: Longest sleep between two looks while the engine has no news.
_NEWS_S = 0.25
#: How often it is made sure that somebody still works on the job.
_RECONCILE_S = 2.0


class Tracker(Locked):
    """One reader's view of a job. It only ever reads, but for having the engine look after lost runs while it waits."""

    def __init__(self, header: JobHeader, engine: Engine) -> None:
        super().__init__()
        self.header = header
        self.engine = engine
        self.state = JobState(header)
        self._cursor: str | None = None
        self._reconciled = 0.0

    def refresh(self) -> JobState:
        """Read what is new, and return the state. Threads that share a handle take turns."""
        with self.lock:
            log, was_open = self.engine.stores.log, not self.state.done
            while True:
                events, cursor = log.read_since(self.header.id, self._cursor)
                self._apply(events)
                self._cursor = cursor  # not before: what a Ctrl-C has kept from being applied is read again
                if not events:
                    break
            if was_open:  # it may have been cancelled, and what was just read may be what came of that
                self.header = self.state.header = log.get_job(self.header.id)
            return self.state

    def look(self) -> JobState:
        """Read what is new, and make sure that an open job is being worked on."""
        state = self.refresh()
        if not state.done and self.engine.reconcile(self.header, state):
            state = self.refresh()
        return state

    def restart(self) -> None:
        """Read all anew: the header has changed under it."""
        with self.lock:
            self.header = self.engine.stores.log.get_job(self.header.id)
            self.state, self._cursor = JobState(self.header), None

    def changes(
        self, timeout_s: float | None = None, *, idle: Callable[[JobState], None] | None = None
    ) -> Iterator[JobState]:
        """The state at once, then after each change, until the job is done.

        `idle` is called some times a second while nothing changes. Raises `WaitTimeout` when `timeout_s` have
        passed before; the job goes on.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._reconciled = time.monotonic()
        seen = -1
        while True:
            state = self.refresh()
            done = state.done  # before the yield: whoever has it may ask the job anew, which reads on
            if state.version != seen or done:
                seen = state.version
                yield state
            if done:
                return
            while state.version == seen and not self._wait(deadline, state):
                if idle is not None:
                    idle(state)

    def _apply(self, events: Iterable[Event]) -> None:
        try:
            self.state.apply(events)
        except BaseException:  # in the midst of an event, perhaps, which would then never be taken for new
            self.state, self._cursor = JobState(self.header), None
            raise

    def _wait(self, deadline: float | None, state: JobState) -> bool:
        """Wait a little; True where there may be news: asking for none costs money where the log is far away."""
        now = time.monotonic()
        if deadline is not None and now >= deadline:
            raise WaitTimeout(
                f"Job {self.header.id} is not complete yet: {described(state)}.",
                next_step=f'it goes on; `fanfold.get_job("{self.header.id}").wait()` waits again, and'
                f" `fanfold status --watch {self.header.id}` shows how it goes.",
            )
        if now - self._reconciled >= _RECONCILE_S:
            self._reconciled = now
            if self.engine.reconcile(self.header, state):
                return True
        left_s = _NEWS_S if deadline is None else min(_NEWS_S, deadline - now)
        return self.engine.wait_for_news(left_s)


def described(state: JobState) -> str:
    """Counts in words, such as `3 running, 12 succeeded`."""
    return ", ".join(f"{count:,} {status.value}" for status, count in state.counts().items() if count) or "no runs"
