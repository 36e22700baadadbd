"""What feeds a pool from a job's manifest, and keeps what comes back."""

from __future__ import annotations

import fcntl
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice, repeat
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from fanfold.contract.records import made_of
from fanfold.core.cache_key import RETURNED, returned_key, sealed_key, stamped_key, written_key
from fanfold.core.models import (
    TELEMETRY,
    THROTTLED,
    CacheEntry,
    Event,
    EventKind,
    JobHeader,
    Output,
    RunRef,
    RunStatus,
    sha256,
)
from fanfold.core.options import FailureWatch, goes_on_later, pause_s, should_retry
from fanfold.core.processes import close_private, keep_private, unforked
from fanfold.engines.base import Stores, stop_job
from fanfold.errors import StoreError, StoreFull
from fanfold.execution.calls import Assignment, Call, Feed, Report
from fanfold.execution.channel import Asked, Reply
from fanfold.execution.pool.pool import Pool
from fanfold.execution.pool.scheduler import BATCH
from fanfold.execution.worker.marks import CHANGED, FOLDERS, GIVEN, GOT, UNSEEN
from fanfold.execution.worker.perform import UNKEPT
from fanfold.stores.disk import MAKE_ROOM, disk_errors
from fanfold.stores.keys import result_key
from fanfold.stores.packing import Manifest

if TYPE_CHECKING:
    from fanfold.core.rates import Evenly
    from fanfold.engines.hedge import Hedge

# Whether the process that runs a job is still there: it holds a lock on a file for as long as it lives.

#: Seconds between two touches of a heartbeat.
_RENEWAL_S = 2.0


class Heartbeat:
    """This process's heartbeat, a locked file in `folder`. Raises `StoreError` where it cannot be made."""

    def __init__(self, folder: Path) -> None:
        self.pid = os.getpid()
        self.name = f"{self.pid}-{os.urandom(4).hex()}"
        self._path = folder / self.name
        with disk_errors(folder), unforked():
            folder.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
            keep_private(self._fd)  # a forked child shares the lock, and would hold it after this process is gone
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        self._touched_at = time.monotonic()
        #: The jobs that this process has begun and runs nothing more of.
        self.given_up: set[str] = set()

    def renew(self) -> None:
        """Touch it, for who cannot see the lock. Cheap, and to be called every second or two."""
        now = time.monotonic()
        if now - self._touched_at >= _RENEWAL_S:
            self._touched_at = now
            with suppress(OSError):  # the disk is full or gone, which the work itself will tell of
                os.utime(self._path)

    def give_up(self, job_id: str) -> None:
        """This process lives on, and runs nothing more of this job: who waits for it elsewhere can see that."""
        self.given_up.add(job_id)
        with suppress(OSError):  # not even an empty file can be made: they wait for the end of this process, then
            _gave_up(self._path, job_id).touch()

    def take_up(self, job_id: str) -> bool:
        """This process runs this job; whether it had given it up."""
        if job_id not in self.given_up:
            return False
        self.given_up.remove(job_id)
        _gave_up(self._path, job_id).unlink(missing_ok=True)
        return True

    def take_down(self) -> None:
        """This process runs nothing more."""
        if self.pid == os.getpid():  # a forked child must not take its parent's heartbeat down
            _remove(self._path)
            close_private(self._fd)


def is_alive(folder: Path, name: str) -> bool:
    """Whether the process of this machine whose heartbeat has that name still lives."""
    alive, _ = _looked_at(folder / name)
    if not alive:
        with suppress(OSError):  # where the home can only be read
            _remove(folder / name)
    return alive


def has_given_up(folder: Path, name: str, job_id: str) -> bool:
    """Whether the process whose heartbeat has that name has told that it runs nothing more of this job."""
    return _gave_up(folder / name, job_id).exists()


def _gave_up(heartbeat: Path, job_id: str) -> Path:
    return heartbeat.with_name(f"{heartbeat.name}.gave-up-{job_id}")


def _remove(heartbeat: Path) -> None:
    for path in [heartbeat, *heartbeat.parent.glob(f"{heartbeat.name}.gave-up-*")]:
        path.unlink(missing_ok=True)


def was_alive(folder: Path, name: str, *, within_s: float) -> bool:
    """Whether a process of any machine that shares `folder` lives, as far as can be told: it has been seen lately."""
    alive, touched_at = _looked_at(folder / name)
    return alive or time.time() - touched_at < within_s


def _looked_at(path: Path) -> tuple[bool, float]:
    """Whether a heartbeat's lock is held, and when it was touched last (seconds since 1970; long ago without one)."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False, 0.0
    try:
        touched_at = os.fstat(fd).st_mtime
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True, touched_at
    finally:
        os.close(fd)
    return False, touched_at


@contextmanager
def only_one(folder: Path, name: str) -> Iterator[bool]:
    """True within for one process at a time, False for the others, who leave the work to it."""
    folder.mkdir(parents=True, exist_ok=True)
    fd = os.open(folder / f"{name}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(fd)


class JobFeed:
    """The runs of one job, first attempts and retries, from its manifest to the event log."""

    def __init__(self, header: JobHeader, runs: Iterable[RunRef], *, stores: Stores, assignment: Assignment) -> None:
        self.assignment = assignment
        self.header = header
        self._stores = stores
        self._runs = iter(runs)
        self._again: deque[RunRef] = deque()
        #: What is to be tried again after a pause.
        self._later: list[RunRef] = []
        self._first_attempts: dict[int, int] = {}
        self._manifest = Manifest(stores.objects, header.id, header.count)
        self._recorder = Recorder(header, stores, self._manifest.cache_keys)
        #: What made reading or recording impossible (a full disk); nothing more is taken then.
        self.broken: StoreError | None = None
        self._watch = FailureWatch(header.stop_on_error, escalates=bool(header.ladder))
        self._stopped = self._has_succeeded = False
        #: How many calls have been given and have not ended.
        self._out = 0
        self._rate = _rate_of(header)
        self._hedge = _hedge_of(header)
        #: Whether what it gives is what its runs are, in their order.
        self._is_plain = self._rate is None and self._hedge is None

    def take(self) -> Call | None:
        """The next run to start."""
        if self.broken or self._stopped:
            return None
        try:
            call = self._next()
        except StoreError as error:
            self.broken = error
            return None
        self._out += call is not None
        return call

    def take_many(self, most: int) -> list[Call] | None:
        """The next runs to start, at most so many, in half the time; None where they are to be taken one by one.

        Together go first tries that nothing holds up.
        """
        if self.broken or self._stopped or not self._is_plain or self._again or self._later:
            return None
        runs = list(islice(self._runs, most))
        if not _FIRST_TRIES.issuperset([run[1:] for run in runs]):
            self._again.extend(runs)
            return None
        indexes = [run.index for run in runs]
        try:
            texts = together_with(self._manifest.arguments_of(indexes), self.header.constants)
        except StoreError as error:
            self.broken = error
            return []
        self._out += len(runs)
        return made_of(Call, (indexes, repeat(0), texts), len(runs))

    def record(self, reports: Sequence[Report]) -> None:
        """Keep what happened; what makes that impossible is kept as `broken`."""
        self._out -= len(finished([report.event for report in reports]))
        is_stream = len(reports) >= BATCH and self._out > 0
        if self._hedge is not None:
            reports = self._hedge.without_superseded(reports)
        try:
            if not self.broken:
                self._record(reports, is_stream)
        except StoreError as error:
            self.broken = error
        finally:
            for report in reports:
                if report.result_file:
                    report.result_file.unlink(missing_ok=True)

    def put_off(self, call: Call, due_at: float) -> None:
        """Take a call back that has been given, to give it again at a time (seconds since 1970)."""
        self._out -= 1
        self._later.append(RunRef(call.index, call.attempt, self._first_attempts.get(call.index), due_at))

    def flush(self) -> None:
        """Nothing is held back here: writing is cheap."""

    def answer(self, call: Call, asked: Asked) -> Reply:
        """What a run asks for: what its steps have kept, or that something be kept."""
        from fanfold.engines.step_book import StepBook  # few jobs have steps

        try:
            return StepBook(self.header, self._stores).answer(call, asked)
        except StoreError as error:
            self.broken = error
            return {"refused": error.message}, b""

    @property
    def is_waiting(self) -> bool:
        """True while a run waits for its turn or its next attempt: the feed is not over while it gives nothing."""
        waiting = self._later or (self._rate is not None and self._again)
        return bool(waiting) and not self.broken and not self._stopped

    @property
    def next_in_s(self) -> float | None:
        """Seconds until a run may begin that waits for its turn, or gets a duplicate; None where none does."""
        if self._hedge is not None and not self._again:
            return self._hedge.next_in_s()
        return self._rate.wait_s(time.monotonic()) if self._rate is not None and self._again else None

    @property
    def obsolete(self) -> Collection[tuple[int, int]]:
        """Tries (run, attempt) that are not needed any more."""
        return () if self._hedge is None else self._hedge.obsolete

    def _next(self) -> Call | None:
        if self._later:
            self._recall()
        run = self._again.popleft() if self._again else next(self._runs, None)
        while run is not None and run.due_at and run.due_at > time.time():
            self._later.append(run)
            run = next(self._runs, None)
        if run is None and self._hedge is not None:
            run = self._hedge.next_duplicate(self._first_attempts)
        if run is None:
            return None
        if self._rate is not None and not self._rate.begins(time.monotonic()):
            self._again.appendleft(run)
            return None
        index, attempt, first, _ = run
        if first is None:
            first = attempt
        if first:
            self._first_attempts[index] = first
        return Call(index, attempt, together(self._manifest.arguments(index), self.header.constants))

    def _record(self, reports: Sequence[Report], is_stream: bool) -> None:
        errors = [report.event for report in reports if report.event.error is not None]
        full = next((event.error for event in errors if _tells_of_full_disk(event)), None)
        if full is not None:
            reports = [report for report in reports if not _tells_of_full_disk(report.event)]
        kept = self._recorder.record(reports, more_follow=is_stream)
        if self._hedge is not None:
            self._hedge.note(kept)
        for event in finished(kept):
            if event.status is RunStatus.SUCCEEDED and self._has_succeeded:
                continue  # the first success alone matters to the watch
            self._has_succeeded |= event.status is RunStatus.SUCCEEDED
            if self._is_due_again(event):
                run = self._next_attempt(event)
                (self._later if run.due_at else self._again).append(run)
            else:
                self._stop_if_hopeless(event)
        if full is not None:
            raise StoreFull(
                f"No room left in {self._stores.scratch}: {full.message}; what was stored before is unharmed.",
                next_step=MAKE_ROOM,
            )

    def _stop_if_hopeless(self, event: Event) -> None:
        if self._hedge is not None and self._hedge.has_another(event):
            return
        reason = self._watch.note(event.status, event.error) if event.status is not None else ""
        if reason and not self._stopped:
            self._stopped = True
            stop_job(self._stores.log, self.header.id, reason)

    def _next_attempt(self, event: Event) -> RunRef:
        if goes_on_later(event.error) or _was_not_tried(event):
            return RunRef(event.index, event.attempt + 1)
        attempt = event.attempt + 1 if self._hedge is None else self._hedge.next_attempt(event.index)
        first = self._first_attempts.get(event.index, 0)
        wait_s = pause_s(self.header, event.index, event.attempt, first)
        return RunRef(event.index, attempt, first, event.at + wait_s if wait_s else 0.0)

    def _recall(self) -> None:
        """Take up what has become due."""
        now = time.time()
        self._again.extend(run for run in self._later if run.due_at <= now)
        self._later = [run for run in self._later if run.due_at > now]

    def _is_due_again(self, event: Event) -> bool:
        first = self._first_attempts.get(event.index, 0)
        if self._hedge is not None and self._hedge.has_another(event):
            return False
        if _was_not_tried(event):
            return True
        return event.status is not None and should_retry(self.header, event.status, event.error, event.attempt, first)


def _was_not_tried(event: Event) -> bool:
    """Whether its start was refused: here under `fanfold.local(chaos=...)` alone."""
    return event.error is not None and event.error.type == THROTTLED


def _rate_of(header: JobHeader) -> Evenly | None:
    """The job's rate here, where one process runs it: no other has to be asked."""
    if not header.rate:
        return None
    from fanfold.core.rates import Evenly

    return Evenly(header.rate)


def _hedge_of(header: JobHeader) -> Hedge | None:
    """What starts duplicates, for a job whose slow runs get them."""
    if not header.hedge:
        return None
    from fanfold.engines.hedge import Hedge

    return Hedge()


def _tells_of_full_disk(event: Event) -> bool:
    return event.error is not None and event.error.type == UNKEPT


def together(arguments: str, constants: str) -> str:
    """A run's own arguments and the job's constants as one JSON object; no name is in both."""
    return together_with([arguments], constants)[0]


def together_with(arguments: Sequence[str], constants: str) -> Sequence[str]:
    """The same for the arguments of several runs."""
    if constants == "{}":
        return arguments
    rest = f",{constants[1:]}"
    return [constants if own == "{}" else own[:-1] + rest for own in arguments]


#: What a run is but for its index, where it is its first try, and nothing holds it up.
_FIRST_TRIES = {RunRef(0)[1:], RunRef(0, 0, 0)[1:]}


# Keeps what a pool reports: large results first, then events and cache entries. Every engine records by it.

#: Of a stream of short runs so many results are offered to the cache at once, for each write touches pages all over it:
#: unless they took so long (seconds), for a crash may cost them.
_OFFERS, _OFFERED_S = 2000, 0.1

#: Gives the cache keys of runs.
CacheKeys: TypeAlias = Callable[[Sequence[int]], Sequence[str]]


class Recorder:
    """Records one job's reports. `cache_keys` gives those of runs.

    A result is stored before the event that tells of it: a run counts as done only when nothing of it can be lost.
    `hold_s`: what runs print and use is held back so long, to write more of it at once.
    """

    def __init__(self, header: JobHeader, stores: Stores, cache_keys: CacheKeys, *, hold_s: float = 0.0) -> None:
        self._header = header
        self._stores = stores
        self._cache_keys = cache_keys
        self._hold_s = hold_s
        self._held: list[Event] = []
        self._offers: list[CacheEntry] = []
        self._flushed_at = 0.0
        self._has_said = False
        #: Where runs of the job are known to write.
        self._written_folders: set[str] = set()

    def record(self, reports: Sequence[Report], *, more_follow: bool = False) -> list[Event]:
        """Keep what happened; the events that are now on record and are not output or load. Again is harmless.

        `more_follow`: others come at once, so results may wait for them on their way to the cache.
        """
        events = [self._stored(*report) for report in reports]
        if not self._hold_s:
            self._write(events, more_follow=more_follow)
            return events
        state = [event for event in events if event.kind not in TELEMETRY]
        telemetry = [event for event in events if event.kind in TELEMETRY]
        if state:
            self._write([*self._held, *telemetry, *state])
        else:
            self._held += telemetry
            self.flush()
        return state

    def flush(self) -> None:
        """Record output that has been held back for long enough."""
        if self._held and time.monotonic() - self._flushed_at >= self._hold_s:
            self._write(self._held)

    def _write(self, events: Sequence[Event], *, more_follow: bool = False) -> None:
        offers = [*self._offers, *self._offers_of(events)]
        few = len(offers) < _OFFERS and sum(entry.duration_s for entry in offers) < _OFFERED_S
        waiting = offers if more_follow and few and not any(map(attrgetter("data"), finished(events))) else []
        self._stores.record(events, [] if waiting else offers)
        self._held, self._offers, self._flushed_at = [], waiting, time.monotonic()

    def _stored(self, event: Event, result_file: Path | None) -> Event:
        if event.output is None or event.output.inline is not None:
            return event
        key = result_key(self._cache_keys([event.index])[0], event.output.sha256)
        if result_file is not None and result_file.exists():  # else stored by an earlier try
            self._stores.objects.put_file(key, result_file)
        return event._replace(output=event.output._replace(key=key))

    def _offers_of(self, events: Sequence[Event]) -> list[CacheEntry]:
        """What the cache is to keep of these results."""
        ends = [event for event in events if event.kind is EventKind.FINISHED and event.output is not None]
        if not self._header.cache or not ends:
            return []
        if any(map(attrgetter("data"), ends)):
            return [entry for event in ends for entry in self._entries(event)]
        return _plain_entries(ends, self._cache_keys)

    def _entries(self, event: Event) -> Iterator[CacheEntry]:
        """What the cache is to keep of a result: itself, and what the files were that it names (see `worker.marks`)."""
        assert event.output is not None
        if UNSEEN in event.data:
            return
        if CHANGED in event.data:
            self._say_changed(event.data[CHANGED])
            return
        took_s = event.usage.duration_s if event.usage else 0.0
        [key], given, got = self._cache_keys([event.index]), event.data.get(GIVEN), event.data.get(GOT)
        if given:
            key = stamped_key(key, given)
        yield CacheEntry(key, event.output, event.at, took_s, event.job_id)
        if got is not None:
            yield CacheEntry(returned_key(key), _seal(got), event.at, 0.0, event.job_id)
        if (folders := event.data.get(FOLDERS)) is not None:
            self._say_not_looked_into(folders)
            yield CacheEntry(sealed_key(key), _seal(folders), event.at, 0.0, event.job_id)
            for folder in self._newly_written(folders):
                yield CacheEntry(written_key(event.job_id, folder), _seal(folder), event.at, 0.0, event.job_id)

    def _newly_written(self, folders: str) -> set[str]:
        from fanfold.codec.folders import written_in

        new = set(written_in(folders)) - self._written_folders
        self._written_folders |= new
        return new

    def _say_not_looked_into(self, folders: str) -> None:
        """Say on stderr, once, which folder is too large for each file in it to count."""
        from fanfold.codec.folders import MOST_ENTRIES, not_looked_into

        large = not_looked_into(folders)
        if large and not self._has_said:
            self._has_said = True
            sys.stderr.write(
                f"fanfold: more than {MOST_ENTRIES:,} files lie in {large[0]}, which runs of {self._header.name} are"
                " given: a change of one of them is not seen, and results come from the cache. If runs read them, name"
                ' the parameter, as in depends_on=["folder"]: then all files count.\n'
            )

    def _say_changed(self, path: str) -> None:
        """Say on stderr, once, why a result will not serve again."""
        if not self._has_said:
            self._has_said = True
            sys.stderr.write(
                f"fanfold: {path} has changed while a run of {self._header.name} was given it: the result serves no"
                " other job, for nobody can tell which of the two it has read. Have a run return the paths that it"
                " writes.\n"
            )


def _seal(text: str) -> Output:
    return Output(RETURNED, sha256(text.encode()).hexdigest(), len(text.encode()), text.encode())


def _plain_entries(ends: Sequence[Event], cache_keys: CacheKeys) -> list[CacheEntry]:
    """Entries of results that name no file, by columns: nearly all are such."""
    keys = cache_keys([event.index for event in ends])
    times = [event.usage.duration_s if event.usage else 0.0 for event in ends]
    columns = keys, *(map(attrgetter(name), ends) for name in ("output", "at")), times, map(attrgetter("job_id"), ends)
    return made_of(CacheEntry, columns, len(ends))


def last_offers(stores: Stores, header: JobHeader) -> list[CacheEntry]:
    """What a process that was killed may have recorded of a job, and not given to the cache yet."""
    plain: deque[Event] = deque(maxlen=_OFFERS + BATCH)
    cursor = None
    while (read := stores.log.read_since(header.id, cursor))[0]:
        plain.extend(event for event in finished(read[0]) if event.status is RunStatus.SUCCEEDED and not event.data)
        cursor = read[1]
    ends = [event for event in plain if event.output is not None]
    return _plain_entries(ends, Manifest(stores.objects, header.id, header.count).cache_keys) if ends else []


def finished(events: Sequence[Event]) -> list[Event]:
    """Those that end an attempt."""
    return [event for event in events if event.kind is EventKind.FINISHED]


# Serving one job's runs to their end, with an eye on its cancel flag: on machines, in functions, in a runner.


class RecordingFeed(Feed, Protocol):
    """A feed that may hold output back, to record more of it at once."""

    def flush(self) -> None:
        """Record what has been held back for long enough."""


def serve(pool: Pool, feed: RecordingFeed, is_cancelled: Callable[[], bool]) -> bool:
    """Serve a feed until it has nothing for now; False where its job was cancelled. `is_cancelled` must not block."""
    cancelled = False
    pool.add(feed)
    while pool.serves(feed):
        pool.step()
        feed.flush()
        if not cancelled and is_cancelled():
            cancelled = True
            pool.cancel(feed)
    return not cancelled
