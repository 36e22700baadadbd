"""Follows a job: its header, its events as they come, and the waiting in between."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from types import TracebackType
from typing import Any, TextIO, TypeVar

from fanfold.core.fold import JobState
from fanfold.core.formatting import about_seconds, duration
from fanfold.core.models import (
    FOLLOWING,
    THROTTLED,
    CacheRecord,
    Event,
    EventKind,
    JobHeader,
    LargerRecord,
    MachineRecord,
    RunStatus,
    records,
)
from fanfold.core.processes import Locked, deferring_interrupts
from fanfold.engines.base import Engine
from fanfold.errors import ConfigurationError, FanfoldError, StoreError, StoreFull, StoreUnavailable, WaitTimeout
from fanfold.settings import Logger, WithoutOwnFrames
from fanfold.stores.state import LARGE_JOB, Brief, KeptBrief, brief_of, is_settled

_log = Logger("fanfold.job")

#: Longest sleep between two looks while the engine has no news.
_NEWS_S = 0.25
#: How often it is made sure that somebody still works on the job.
_RECONCILE_S = 2.0
#: Pause after a store has not answered. It has been asked several times by then.
_SILENCE_S = 1.0
#: A call to a store that is far away may go on for so long before who waits is told that there is no answer, and with
#: a deadline hardly past that.
ANSWER_S, _ANSWER_LEAST_S = 20.0, 0.5

T = TypeVar("T")


#: A job so young may not have been waited for before.
_NEW_S = 60.0
#: How often somebody who waits for a large job keeps how it stands, for lists: first so soon that nobody else need.
_KEEP_S, _KEEP_FIRST_S = 2.0, 0.5


class Tracker(Locked):
    """One reader's view of a job. It only ever reads, but for having the engine look after lost runs while it waits."""

    def __init__(self, header: JobHeader, engine: Engine) -> None:
        super().__init__()
        self.header = header
        self.engine = engine
        self._state: JobState | None = None
        self._cursor: str | None = None
        self._reconciled = 0.0
        self._silent_since = 0.0
        self._kept: object = None
        self._kept_at = time.monotonic() - _KEEP_S + _KEEP_FIRST_S
        self._brief: tuple[int, Brief] | None = None
        self._was_open = self._left_flight = self._looked_last = False
        #: Whether who waits here is told on stderr of jobs on larger machines (`engines.larger`), and what he was told.
        self.tells_larger = False
        self._told: set[str] = set()

    def _new_state(self) -> JobState:
        state = JobState(self.header)
        state.now = self.engine.stores.log.now
        return state

    @property
    def state(self) -> JobState:
        """What has been read of it by now. Made when it is asked for: a list needs none of a large job."""
        if self._state is None:
            with self.lock:
                if self._state is None:
                    self._state = self._new_state()
        return self._state

    def refresh(self) -> JobState:
        """Read what is new, and return the state. Threads that share a handle take turns."""
        with self.lock:
            log, was_open = self.engine.stores.log, not self.state.done
            if self.state.has_missed:
                self.state.has_missed, self._cursor = False, None
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
        """Read what is new, and make sure that an open job is being worked on. An error names the job."""
        with self.naming_job():
            return self._look()

    def cancel(self) -> bool:
        """Cancel the job; False where it had ended by itself. Of one that is cancelled, stop what could not be then."""
        was_done = self.look().done
        if was_done and self.header.cancelled_at is None:
            return False
        with self.naming_job("`fanfold cancel {job}` again ends what is left of it"):
            if not was_done:
                self.engine.stores.log.request_cancel(self.header.id, time.time())
                self.refresh()
            self.engine.cancel(self.header)
        return True

    def _look(self) -> JobState:
        state = self.refresh()
        self._was_open |= not state.done
        if state.done:
            state = self._with_last_words(state)
        elif self._reconcile(state):
            state = self.refresh()
        return state

    def _reconcile(self, state: JobState) -> bool:
        """Have the engine look after the job. A full disk keeps nobody from looking: who waits for the job is told."""
        try:
            return self.engine.reconcile(self.header, state)
        except StoreFull as error:
            state.silence = error.message
            return False

    def _with_last_words(self, state: JobState) -> JobState:
        """Have the engine look once more at a job's machines: one that died in its last seconds has said nothing."""
        if not self._was_open or self._looked_last or self.header.instance_type is None:
            return state
        self._looked_last = True
        with suppress(StoreError):  # how the job has ended is known
            if self.engine.reconcile(self.header, state):
                self.restart()  # of a shard whose runs are over nothing more is read
                return self.refresh()
        return state

    def brief(self) -> Brief:
        """How the job stands in a list: what is kept of it, where its events take long to read, or calls."""
        log = self.engine.stores.log
        if self._cursor is None and (self.header.costs_money or self.header.count >= LARGE_JOB):
            kept = KeptBrief.read(log, self.header)
            if kept is not None and kept.is_fresh(log.now()):
                return kept.brief
        from fanfold.core.cost import cost

        state = self.look()
        if self._brief is None or self._brief[0] != state.version or not state.done:
            self._brief = state.version, brief_of(state, float(cost(state)))
        self.keep_brief(least=1)
        return self._brief[1]

    def keep_brief(self, *, least: int = 2) -> None:
        """Keep how the job stands, for lists to come: of a large one here, and of one in AWS that has ended.

        `least`: the fewest runs for which that is worth a call of AWS.
        """
        far = self.header.costs_money
        read_to = self.state.version if far else self._cursor  # there a cursor moves on where nothing is new
        if self._cursor is None or self._kept == read_to or self.header.count < (least if far else LARGE_JOB):
            return
        if not (is_settled(self.state) if far else self.state.done or time.monotonic() - self._kept_at > _KEEP_S):
            return  # in AWS a list reads what is open
        from fanfold.core.cost import cost

        self._kept, self._kept_at = read_to, time.monotonic()
        KeptBrief.write(self.engine.stores.log, self.state, self._cursor, float(cost(self.state)))

    def _leave_flight(self) -> None:
        """Spare later jobs the reading of this one: what it has computed is in the cache."""
        is_new = self.state.now() - self.header.created_at < _NEW_S or self._was_open
        if self.header.flight and is_new and not self._left_flight:
            self._left_flight = True
            with suppress(StoreError):  # where the home can only be read, they read it
                self.engine.stores.cache.leave_flight(self.header.flight, [self.header.id])

    def restart(self) -> None:
        """Read all anew: the header has changed under it."""
        with self.lock:
            self.header = self.engine.stores.log.get_job(self.header.id)
            self._state, self._cursor = self._new_state(), None

    def changes(
        self, timeout_s: float | None = None, *, idle: Callable[[JobState], None] | None = None
    ) -> Iterator[JobState]:
        """The state at once, then after each change, until the job is done.

        `idle` is called some times a second while nothing changes. Raises `WaitTimeout` when `timeout_s` have
        passed before; the job goes on.
        """
        with self.waiting():
            yield from self._changes(timeout_s, idle)

    def waiting(self) -> WithoutOwnFrames:
        """Around what waits for the job: a Ctrl-C says what becomes of it, in few lines."""

        def describe() -> str:
            from fanfold.job.interrupts import describe_interrupted

            return describe_interrupted(self)

        return WithoutOwnFrames(describe)

    def _changes(self, timeout_s: float | None, idle: Callable[[JobState], None] | None) -> Iterator[JobState]:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._reconciled = time.monotonic()
        seen = -1
        while True:
            state = self.patiently(self.refresh, deadline=deadline, idle=idle)
            self._was_open |= not state.done
            done = state.done  # before the yield: its receiver may ask the job anew, which reads on
            if state.version != seen or done:
                seen = state.version
                if done:  # a caller may rely on it
                    state = self._with_last_words(state)
                    self._leave_flight()
                    self.engine.stores.sync()
                self.keep_brief()
                if self.tells_larger:
                    self._tell_larger(state)
                yield state
            if done:
                return
            while state.version == seen and not self._wait(deadline, state, idle):
                if idle is not None:
                    idle(state)

    def _tell_larger(self, state: JobState) -> None:
        """Say which runs are run again on a machine; at the end, with which machine such a job would better begin."""
        told = records(state.job_events(EventKind.LARGER), LargerRecord)
        for one in (one for one in told if one.name not in self._told):
            self._told.add(one.name)
            runs, again = ("1 run was", "runs") if one.count == 1 else (f"{one.count:,} runs were", "run")
            alone = "alone " if one.instance_type == self.header.instance_type else ""
            sys.stderr.write(
                f"fanfold: {runs} too large, and {again} again {alone}on {one.instance_type}: job {one.name}\n"
            )
        if state.done:
            self.tells_larger = False
            for advice in advise_larger(state):
                sys.stderr.write(f"fanfold: {advice}\n")

    def _apply(self, events: Iterable[Event]) -> None:
        try:
            self.state.apply(events)
        except BaseException:  # in the midst of an event, perhaps, which would then never be taken for new
            self._state, self._cursor = self._new_state(), None
            raise

    def patiently(
        self,
        act: Callable[[], T],
        *,
        deadline: float | None = None,
        idle: Callable[[JobState], None] | None = None,
    ) -> T:
        """Do what asks the store, again and again while it does not answer: that never ends a job, nor a wait for it.

        Raises `WaitTimeout` after the deadline. Whatever else ends it names the job and how to come back to it.
        """
        while True:
            left_s = ANSWER_S if deadline is None else min(ANSWER_S, deadline - time.monotonic())
            try:
                with self.engine.stores.within(max(_ANSWER_LEAST_S, left_s)):
                    found = act()
            except StoreUnavailable as error:
                self._note_silence(error)
                self._check_deadline(deadline)
                if idle is not None:
                    idle(self.state)
                left_s = _SILENCE_S if deadline is None else deadline - time.monotonic()
                time.sleep(max(0.0, min(_SILENCE_S, left_s)))
            except (ConfigurationError, StoreError) as error:
                if not error.refused and isinstance(error, StoreError):
                    raise
                raise name_job(error, self.header.id) from error.__cause__
            else:
                self._silent_since, self.state.silence = 0.0, ""
                return found

    def _note_silence(self, error: StoreUnavailable) -> None:
        if not self._silent_since:
            self._silent_since = time.time()
            _log.warning("job %s: %s Trying again.", self.header.id, error.message)
        since = time.strftime("%H:%M:%S", time.localtime(self._silent_since))
        self.state.silence = f"no answer since {since}, trying again ({error.message.rstrip('.')})"

    @contextmanager
    def naming_job(self, then: str = "", it: str = "") -> Iterator[None]:
        """Have what ends it name the job, how `it` stands, and what to do `then`."""
        try:
            yield
        except (ConfigurationError, StoreUnavailable) as error:
            raise name_job(error, self.header.id, then, it) from error.__cause__

    def _check_deadline(self, deadline: float | None) -> None:
        if deadline is None or time.monotonic() < deadline:
            return
        silence = f"; {self.state.silence}" if self.state.silence else ""
        raise WaitTimeout(
            f"Job {self.header.id} is not complete yet: {describe_counts(self.state)}{silence}.",
            next_step=f'it goes on; `fanfold.get_job("{self.header.id}").wait()` waits again, and'
            f" `fanfold status --watch {self.header.id}` shows how it goes.",
        )

    def _wait(self, deadline: float | None, state: JobState, idle: Callable[[JobState], None] | None) -> bool:
        """Wait a little; True where there may be news: asking for none costs money where the log is far away."""
        self._check_deadline(deadline)
        now = time.monotonic()
        if now - self._reconciled >= _RECONCILE_S:
            self._reconciled = now
            if self.patiently(lambda: self.engine.reconcile(self.header, state), deadline=deadline, idle=idle):
                return True
        left_s = _NEWS_S if deadline is None else min(_NEWS_S, deadline - now)
        return self.engine.wait_for_news(left_s)


def advise_larger(state: JobState) -> list[str]:
    """With which machine a job like this would better begin, where half of the runs or more came to need it."""
    needed: Counter[str] = Counter()
    for one in records(state.job_events(EventKind.LARGER), LargerRecord):
        needed[one.instance_type] += one.count
    count, here = state.header.count, state.header.instance_type
    return [
        f"{often:,} of {count:,} runs needed {machine}: for such inputs, "
        f'instance_type="{machine}" is sooner and cheaper.'
        for machine, often in needed.items()
        if machine != here and 2 * often >= count
    ]


class Pace:
    """Keeps a look over all runs from taking more than a small part of the time, however many runs there are."""

    def __init__(self, times_as_long: float = 10.0) -> None:
        self._times_as_long = times_as_long
        self._began = 0.0
        self._next = 0.0

    def is_due(self) -> bool:
        """True where the next look may begin now."""
        self._began = time.monotonic()
        return self._began >= self._next

    def note(self) -> None:
        """The look has ended."""
        now = time.monotonic()
        self._next = now + self._times_as_long * (now - self._began)


def describe_counts(state: JobState) -> str:
    """Counts in words, such as `3 running, 12 succeeded`."""
    return ", ".join(f"{count:,} {status.value}" for status, count in state.counts().items() if count) or "no runs"


def remaining_s(state: JobState, now: float) -> float | None:
    """Seconds until the job will have ended, at the pace so far; None where nothing tells."""
    counts = state.counts()
    left = counts[RunStatus.QUEUED] + counts[RunStatus.RUNNING]
    ended = state.header.count - left - counts[RunStatus.CACHED]
    first = min(_starts(state), default=None)
    if not left or ended <= 0 or first is None or now < first:  # by another's clock, or one that was set back
        return None
    return (now - first) / ended * left


def _starts(state: JobState) -> Iterator[float]:
    """When each run began that was not answered from the cache (seconds since 1970)."""
    for index in range(state.header.count):
        if state.status_of(index) is not RunStatus.CACHED and (at := state.started_at(index)) is not None:
            yield at


# The progress bar, and the words beside it that say what a job waits for.

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
        self._shown = is_watched() if shown is None else shown
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
        ended = state.runs_over
        bar = self._bar or self._open(ended)
        bar.set_postfix_str(", ".join(filter(None, (self.stage, _words(state, counts)))), refresh=False)
        now = time.monotonic()
        if bar.update(ended - bar.n):
            self._drawn = now
        elif now - self._drawn >= bar.mininterval:
            bar.refresh()  # nothing has ended, but time goes on, and what the job waits for may have changed
            self._drawn = now

    def write(self, text: str, out: TextIO) -> None:
        """Write text above the bar, where there is one."""
        if self._bar is not None:
            self._bar.clear()
        out.write(text)
        out.flush()
        if self._bar is not None:
            self._bar.refresh()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def _open(self, ended: int) -> Any:
        import warnings

        with deferring_interrupts(), warnings.catch_warnings():
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
        answers = next(iter(records(state.job_events(EventKind.CACHE), CacheRecord)), None)
        age = "" if answers is None else f" ({age_of(answers, state.now())})"
        words.append(f"{counts[RunStatus.CACHED]} cached{age}")
    if state.silence or state.waits_for_owner or (not counts[RunStatus.RUNNING] and counts[RunStatus.QUEUED]):
        words.append(waiting_for(state))
    if losses := describe_losses(state):
        words.append(f"machines lost: {losses}")
    if state.stop_reason:
        words.append(f"stopped: {state.stop_reason}")
    return ", ".join(words)


def describe_losses(state: JobState) -> str:
    """Why machines of a dedicated job were lost, the most frequent reason first, and of how many it is true."""
    if state.header.instance_type is None:
        return ""
    lost = [one for one in records(state.job_events(EventKind.MACHINE), MachineRecord) if one.state == "lost"]
    (reason, count), *others = Counter(one.reason for one in lost).most_common() or [("", 0)]
    if not reason:
        return ""
    more = f", and {len(others)} other {'reasons' if len(others) > 1 else 'reason'}" if others else ""
    return f"{reason}{f' ({count:,} times)' if count > 1 else ''}{more}"


def age_of(answers: CacheRecord, now: float) -> str:
    """When results from the cache were made, by the store's clock: `made 3 days to 2 h ago`."""
    oldest, newest = (about_seconds(max(0.0, now - at)) for at in (answers.oldest, answers.newest))
    return f"made {oldest if oldest == newest else f'{oldest} to {newest}'} ago"


def waiting_for(state: JobState) -> str:
    """What keeps a job's queued runs from running, or its reader from news of them."""
    if state.waits_for_owner:
        return f"waiting for its owner, {state.header.owner}: nobody performs its runs, and looking starts none"
    if state.too_large and len(state.too_large) == state.counts()[RunStatus.QUEUED]:
        return state.silence or f"waiting for what runs on a larger machine, {', '.join(state.header.ladder)}"
    return state.silence or _why_queued(state)


def _why_queued(state: JobState) -> str:
    silent = (EventKind.CACHE, EventKind.ENVIRONMENT, EventKind.STAGE, EventKind.LARGER)
    events = [event for event in state.job_events() if event.kind not in silent]
    if not events:
        return "waiting to be started"
    if pause := _pause_message(state):
        return pause
    leader = next((event.data["name"] for event in events if event.data.get("path") == FOLLOWING), None)
    if leader is not None:
        return f"waiting for job {leader}, which runs the same"
    latest, starting = events[-1], events[-1].data.get("state") == "starting"
    if latest.data.get("reason"):
        return str(latest.data["reason"])
    if latest.kind is EventKind.DISPATCH:
        return _in_aws(state, starting=starting) or _begins_late(state.now() - latest.at)
    return "waiting for a process to start" if latest.kind is EventKind.RUNNER and starting else _FREE_WORKER


def _pause_message(state: JobState) -> str:
    """That runs wait for their next attempt to be due, where that is what the first of those that wait do."""
    if not state.header.backoff_s:
        return ""
    waiting = islice(state.indexes(RunStatus.QUEUED), _LOOKED_AT)
    due = [at for at in map(state.due_at, waiting) if at is not None]
    left_s = min(due, default=0.0) - state.now()
    return f"the pause before another try: {duration(left_s)} more" if left_s > 0 else ""


def _in_aws(state: JobState, *, starting: bool) -> str | None:
    """What runs that were handed to AWS wait for; None where Lambda has them all, and just does not begin."""
    machine = state.header.instance_type
    if machine is not None:
        return f"waiting for a {machine} to start" if starting else _FREE_WORKER
    return "being handed to AWS Lambda" if starting else _throttle_message(state)


def _begins_late(waited_s: float) -> str:
    if waited_s < _LATE_S:
        return "waiting for AWS Lambda to begin"
    return f"AWS Lambda begins none for {duration(waited_s)}: most likely as many runs run as the account allows"


def _throttle_message(state: JobState) -> str | None:
    """Why AWS would not start some of the runs that wait, in its own words; None where it has refused none."""
    waiting = islice(state.indexes(RunStatus.QUEUED), _LOOKED_AT)
    errors = (state.error(index) for index in waiting)
    return next((error.message for error in errors if error is not None and error.type == THROTTLED), None)


def in_notebook() -> bool:
    """True in a notebook's kernel."""
    shell = sys.modules.get("IPython")
    running = shell.get_ipython() if shell is not None else None
    return running is not None and "IPKernelApp" in getattr(running, "config", {})


class ProgressLines:
    """Whether lines of progress are shown where somebody watches."""

    is_wanted = True


def name_job(error: ConfigurationError | StoreError, job_id: str, then: str = "", it: str = "") -> FanfoldError:
    """The error, with the job that goes on meanwhile: to start it again costs everything twice.

    `then`: what to do when its cause is gone, with `{job}` for the job's id; `it`: how the job stands.
    """
    if error.job_id == job_id:
        return error
    error.job_id = job_id
    if it or isinstance(error, ConfigurationError):
        error.message = f"{error.message} Job {job_id} {it or 'goes on meanwhile'}."
    then = then or (
        '`fanfold.get_job("{job}").wait()` goes on waiting (`fanfold status --watch {job}` at a terminal).'
        " Starting it again would run everything twice."
    )
    error.next_step = f"{error.next_step.rstrip('.')}; then {then.format(job=job_id)}"
    return error


def is_watched() -> bool:
    """True at a terminal, and in a notebook, where progress is wanted."""
    return ProgressLines.is_wanted and (in_notebook() or (sys.stderr is not None and sys.stderr.isatty()))
