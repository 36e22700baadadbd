"""What feeds a pool from a job's manifest, and keeps what comes back."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from fanfold.core.models import Event, JobHeader, RunRef
from fanfold.core.retry import should_retry
from fanfold.core.stopping import FailureWatch
from fanfold.engines.base import Stores
from fanfold.engines.recorder import Recorder, finished
from fanfold.engines.stopping import stop_job
from fanfold.errors import StoreError, StoreFull
from fanfold.execution.calls import Assignment, Call, Report
from fanfold.execution.worker.perform import UNKEPT
from fanfold.stores.disk import MAKE_ROOM
from fanfold.stores.manifest import Manifest


class JobFeed:
    """The runs of one job, first attempts and retries, from its manifest to the event log."""

    def __init__(self, header: JobHeader, runs: Iterable[RunRef], *, stores: Stores, assignment: Assignment) -> None:
        self.assignment = assignment
        self.header = header
        self._stores = stores
        self._runs = iter(runs)
        self._again: deque[RunRef] = deque()
        self._first_attempts: dict[int, int] = {}
        self._manifest = Manifest(stores.objects, header.id, header.count)
        self._recorder = Recorder(header, stores, self._manifest.cache_key)
        #: What made reading or recording impossible (a full disk); nothing more is taken then.
        self.broken: StoreError | None = None
        self._watch = FailureWatch(header.stop_on_error)
        self._stopped = False

    def take(self) -> Call | None:
        """The next run to start."""
        if self.broken or self._stopped:
            return None
        try:
            return self._next()
        except StoreError as error:
            self.broken = error
            return None

    def record(self, reports: Sequence[Report]) -> None:
        """Keep what happened; what makes that impossible is kept as `broken`."""
        try:
            if not self.broken:
                self._record(reports)
        except StoreError as error:
            self.broken = error
        finally:
            for report in reports:
                if report.result_file:
                    report.result_file.unlink(missing_ok=True)

    def flush(self) -> None:
        """Nothing is held back here: writing is cheap."""

    def _next(self) -> Call | None:
        run = self._again.popleft() if self._again else next(self._runs, None)
        if run is None:
            return None
        first = run.attempt if run.first_attempt is None else run.first_attempt
        if first:
            self._first_attempts[run.index] = first
        return Call(run.index, run.attempt, together(self._manifest.arguments(run.index), self.header.constants))

    def _record(self, reports: Sequence[Report]) -> None:
        full = next((report.event.error for report in reports if _tells_of_full_disk(report.event)), None)
        kept = self._recorder.record([report for report in reports if not _tells_of_full_disk(report.event)])
        for event in finished(kept):
            if self._is_due_again(event):
                self._again.append(self._next_attempt(event))
            else:
                self._stop_if_hopeless(event)
        if full is not None:
            raise StoreFull(
                f"No room left in {self._stores.scratch}: {full.message}; what was stored before is unharmed.",
                next_step=MAKE_ROOM,
            )

    def _stop_if_hopeless(self, event: Event) -> None:
        reason = self._watch.note(event.status, event.error) if event.status is not None else ""
        if reason and not self._stopped:
            self._stopped = True
            stop_job(self._stores.log, self.header.id, reason)

    def _next_attempt(self, event: Event) -> RunRef:
        return RunRef(event.index, event.attempt + 1, self._first_attempts.get(event.index, 0))

    def _is_due_again(self, event: Event) -> bool:
        first = self._first_attempts.get(event.index, 0)
        return event.status is not None and should_retry(self.header, event.status, event.error, event.attempt, first)


def _tells_of_full_disk(event: Event) -> bool:
    return event.error is not None and event.error.type == UNKEPT


def together(arguments: str, constants: str) -> str:
    """A run's own arguments and the job's constants as one JSON object; no name is in both."""
    if constants == "{}":
        return arguments
    return constants if arguments == "{}" else f"{arguments[:-1]},{constants[1:]}"
