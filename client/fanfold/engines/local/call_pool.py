"""Worker processes for calls that are no job: what an executor sends is taken by a feed that stays open.

Nothing is written down: a call's only trace is its future. Small calls one after the other cost what they cost in any
process pool, for the feed, the workers and what these have loaded are there from the first call to the last.
"""

from __future__ import annotations

import atexit
import os
import pickle
import shutil
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Future
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from fanfold.contract.records import NamedTuple
from fanfold.core.futures import begin
from fanfold.core.models import Event, EventKind, RunStatus
from fanfold.core.processes import Locked, ends_by_interrupt, without_interrupts
from fanfold.engines.feed import Heartbeat
from fanfold.engines.local.engine import pool_folder, refuse_frozen, remove_abandoned
from fanfold.errors import FanfoldError
from fanfold.execution import parcel
from fanfold.execution.calls import Assignment, Call, Report
from fanfold.execution.parcel import Parcel
from fanfold.execution.pool.pool import Pool
from fanfold.execution.worker import carried

#: A call of this size goes in its message; a larger one through a file.
_INLINE_BYTES = 2_800
#: With calls as short as this, so many wait beside each worker; else none, so that they can be cancelled.
_SHORT_S, _QUEUED_SHORT = 0.002, 24
#: A pool that nobody uses is kept this long for the next executor.
_KEPT_S = 10.0
#: The work that is left is waited for in such steps, in which a Ctrl-C is heard.
_STEP_S = 0.2


class CallEnding(NamedTuple):
    """Why a call has no answer of its own: what is raised instead, and whether the pool can go on."""

    message: str
    traceback: str = ""


class Wanted(NamedTuple):
    """What a pool is made for: pools of one kind serve one executor after the other."""

    size: int
    home: Path
    environment: tuple[tuple[str, str], ...]
    folder: str
    timeout_s: float | None = None
    memory_mib: int | None = None
    #: After how many calls a worker is replaced; None: never for that.
    calls_per_worker: int | None = None
    #: How many threads BLAS and OpenMP may start in a worker; None: its share of the cores.
    threads: int | None = None
    #: What each worker does first, a pickled `carried.Preparation`.
    preparation: bytes = b""
    #: Whether an executor that asks for the same preparation may have its workers, in which it has been done.
    is_shared: bool = True


class OpenFeed:
    """Calls that come at any time, and their futures."""

    #: The pool waits for more, however long none comes.
    stays_open = True

    def __init__(self, assignment: Assignment, size: int, settle: Callable[[Future[Any], Event, Path | None], None]):
        self.assignment = assignment
        self._size = size
        self._settle = settle
        self._waiting: deque[tuple[Future[Any], str]] = deque()
        self._out: dict[int, Future[Any]] = {}
        self._number = 0
        self._call_s = _SHORT_S

    def add(self, future: Future[Any], text: str) -> None:
        """Take one more call. Safe from any thread."""
        self._waiting.append((future, text))

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not self._waiting and not self._out

    def take(self) -> Call | None:
        """The next call that nobody has cancelled."""
        while self._waiting and len(self._out) < self._most_out():
            try:
                future, text = self._waiting.popleft()
            except IndexError:  # another thread has just cancelled them all
                return None
            if not begin(future):
                parcel.discard(text)
                continue
            number = self._number + 1
            self._out[number] = future  # first, for `has_ended_all`
            self._number = number
            return Call(number, 0, text)
        return None

    @property
    def added(self) -> int:
        """No call that has been added by now has a higher number than this, or will have."""
        return self._number + len(self._waiting) + 1  # one is out of the queue, and has no number yet

    def has_ended_all(self, added: int) -> bool:
        """Whether all calls are over that had been added when `added` was this; not known where some were cancelled."""
        return self._number >= added and min(list(self._out), default=added + 1) > added

    def record(self, reports: Sequence[Report]) -> None:
        """Settle the futures of the calls that are over, and print what calls have printed."""
        for event, result_file in reports:
            if event.kind is EventKind.LOG:
                _print(str(event.data["text"]))
            elif event.kind is EventKind.FINISHED:
                self._note_duration(event)
                future = self._out.pop(event.index, None)
                if future is not None:
                    self._settle(future, event, result_file)
                del future

    def drop_waiting(self) -> list[Future[Any]]:
        """Give up what no worker has begun; the futures of it."""
        dropped = []
        while self._waiting:
            with suppress(IndexError):
                future, text = self._waiting.popleft()
                parcel.discard(text)
                dropped.append(future)
        return dropped

    def drop_all(self) -> list[Future[Any]]:
        """Give up everything; the futures of it."""
        out = list(self._out.values())
        self._out.clear()
        return out + self.drop_waiting()

    def _most_out(self) -> int:
        return self._size * _QUEUED_SHORT if self._call_s < _SHORT_S else self._size

    def _note_duration(self, event: Event) -> None:
        if event.usage is not None:
            self._call_s += 0.3 * (event.usage.duration_s - self._call_s)


class _Sessions:
    """What calls find around them: a file for each state of this process, as long as calls have it."""

    def __init__(self, folder: str, feed: OpenFeed) -> None:
        self._folder, self._feed = folder, feed
        self._next, self._current = 0, 0
        #: The number of each state, the latest last; and what `added` was when another took its place.
        self._numbers: dict[tuple[tuple[str, ...], bytes | None, bytes], int] = {}
        self._left_at: dict[int, int] = {}

    def number_of(self, around: bytes) -> int:
        """The number under which workers find where modules are imported from, and what is around, as things stand.

        For one thread at a time, as its executor sees to, which adds the call before another asks.
        """
        state = tuple(sys.path), _authkey(), around
        number = self._numbers.pop(state, None)
        if number is None:
            number, self._next = self._next, self._next + 1
            file = self._file(number)
            file.touch(mode=0o600)
            file.write_bytes(pickle.dumps((list(state[0]), *state[1:])))
        self._numbers[state] = number
        if number != self._current:
            self._left_at[self._current] = self._feed.added
            self._current = number
            self._let_go()
        return number

    def _let_go(self) -> None:
        """Remove what no call has any more, but the first, by which workers begin, and the latest few."""
        for state, number in list(self._numbers.items())[: -carried.MOST_SESSIONS]:
            if number and self._feed.has_ended_all(self._left_at[number]):
                del self._numbers[state], self._left_at[number]
                self._file(number).unlink(missing_ok=True)

    def _file(self, number: int) -> Path:
        return Path(carried.session_file(self._folder, str(number)))


class CallPool:
    """A pool with a thread of its own that serves one executor, and may serve another of its kind later."""

    def __init__(self, wanted: Wanted) -> None:
        """Raises `ConfigurationError` in a frozen application, which each worker would start once more."""
        refuse_frozen()
        self.wanted = wanted
        #: Why it can take no more calls.
        self.broken: CallEnding | None = None
        #: Why calls that come too late have no answer, once it has ended, however that was.
        self._ended_for: CallEnding | None = None
        heartbeats = wanted.home / "running"
        self._heartbeat = Heartbeat(heartbeats)
        scratch = wanted.home / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        remove_abandoned(scratch, heartbeats)
        self._folder = pool_folder(scratch, self._heartbeat)
        self._pool = Pool(wanted.size, self._folder, environment=dict(wanted.environment))
        if wanted.preparation:
            Path(carried.preparation_file(str(self._folder))).write_bytes(wanted.preparation)
        assignment = Assignment(
            f"executor-{self._heartbeat.name}",
            self._folder / "none",
            self._folder / "none",
            serializer=carried.CARRIED,
            timeout_s=wanted.timeout_s,
            memory_mib=wanted.memory_mib,
            threads=wanted.threads,
            calls_per_worker=wanted.calls_per_worker,
        )
        self._feed = OpenFeed(assignment, wanted.size, self._settle)
        self._sessions = _Sessions(str(self._folder), self._feed)
        self._numbers = 0
        self._idle = threading.Condition()
        self._stopping = False
        self._pool.get_ready()
        self._pool.add(self._feed)
        self._thread = threading.Thread(target=self._run, name="fanfold-calls", daemon=True)
        try:
            self._thread.start()
        except BaseException:  # there are as many as there may be
            self._end()
            raise
        atexit.register(self._at_exit)

    @property
    def alive(self) -> bool:
        """Whether it can take calls: in a forked child it cannot, nor once it is broken or closed."""
        return (
            self._heartbeat.pid == os.getpid()
            and self._thread.is_alive()
            and not self._stopping
            and self.broken is None
        )

    def submit(self, packed: Parcel, future: Future[Any], around: bytes = b"") -> None:
        """Have one call made; `around` is what it is to find in its worker, a pickled `WorkerState`."""
        self._numbers += 1
        path = f"{self._folder}/call-{self._numbers}"
        self._feed.add(future, parcel.address(self._sessions.number_of(around), packed, path, _INLINE_BYTES))
        self._pool.wake()
        if self._ended_for is not None:  # it ended just now, and nobody would see to this call
            self._fail(self._feed.drop_all(), self._ended_for)

    @property
    def is_served_here(self) -> bool:
        """Whether this is the thread in which futures are told what came of their calls."""
        return threading.current_thread() is self._thread

    def raise_broken(self) -> NoReturn:
        """Raise `BrokenProcessPool`, as for each call that was lost."""
        raise _broken(self.broken or CallEnding("its worker processes were ended"))

    def cancel_waiting(self) -> None:
        """Cancel what no worker has begun."""
        for future in self._feed.drop_waiting():
            future.cancel()
            begin(future)
        self._pool.wake()

    def wait(self) -> None:
        """Return when no call waits or runs."""
        with self._idle:
            while not self._feed.idle and self._thread.is_alive():
                self._idle.wait(_STEP_S)

    def let_go(self) -> None:
        """Its executor makes no more calls: it is kept for another for a while, or ends."""
        if not self.wanted.is_shared or not self.alive or not _keep(self):
            self._stopping = True
            self._pool.wake()

    def close(self) -> None:
        """End all work at once."""
        atexit.unregister(self._at_exit)
        self._stopping = True
        self._pool.wake()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=5)

    def _run(self) -> None:
        try:
            while not self._stopping and self.broken is None:
                self._pool.step()
                if self._feed.idle:
                    with self._idle:
                        self._idle.notify_all()
        except BaseException as error:  # noqa: BLE001  whatever it is, those who wait are to hear of it
            self.broken = _ending_of_pool(error)
        finally:
            self._end()

    def _end(self) -> None:
        """Whatever happened: workers end, and nobody waits for them any more."""
        self._stopping = True
        try:
            self._pool.close()
            shutil.rmtree(self._folder, ignore_errors=True)
            self._heartbeat.take_down()
        finally:
            self._ended_for = self.broken or CallEnding("its worker processes were ended")
            self._fail(self._feed.drop_all(), self._ended_for)
            with self._idle:
                self._idle.notify_all()

    def _settle(self, future: Future[Any], event: Event, result_file: Path | None) -> None:
        if future.done():  # its reader has said himself what came of it
            return
        output = event.output
        if output is None:
            self.broken = _ending(event)
            self._fail([future], self.broken)
            return
        try:
            value = pickle.loads(output.inline or b"") if result_file is None else parcel.take(str(result_file))  # noqa: S301
        except BaseException as error:  # noqa: BLE001  unpickling runs the user's own code
            self._fail([future], CallEnding(f"a result could not be unpickled: {type(error).__name__}: {error}"))
            return
        if output.codec == carried.VALUE:
            future.set_result(value)
            return
        self._settle_error(future, output.codec, *value)

    def _settle_error(self, future: Future[Any], kind: str, error: BaseException, text: str) -> None:
        if kind == carried.RAISED:
            error.__cause__ = _remote_traceback(text)
            future.set_exception(error)
            return
        self._fail(
            [future], CallEnding(f"it could not be unpickled by its worker: {type(error).__name__}: {error}", text)
        )

    @staticmethod
    def _fail(futures: list[Future[Any]], ending: CallEnding) -> None:
        raised: list[BaseException] = []
        for future in futures:
            try:
                if begin(future):
                    future.set_exception(_broken(ending))
            except BaseException as error:  # noqa: BLE001  a callback of the user's: the others are to be told as well
                raised.append(error)
        if raised:
            raise raised[0]

    def _at_exit(self) -> None:
        """Nothing is dropped silently: the process ends when its calls have been made, or at once by a Ctrl-C."""
        if self._heartbeat.pid != os.getpid():
            return
        with suppress(KeyboardInterrupt):
            if not ends_by_interrupt():
                self.wait()
        with without_interrupts():
            self.close()


def _ending_of_pool(error: BaseException) -> CallEnding:
    if isinstance(error, (FanfoldError, OSError)):
        return CallEnding(f"the worker processes could not go on: {error}")
    import traceback

    said = f"{type(error).__name__}: {error}"
    return CallEnding(f"the worker processes could not go on: {said}", "".join(traceback.format_exception(error)))


def _ending(event: Event) -> CallEnding:
    error = event.error
    if error is None:
        return CallEnding("its worker process ended")
    if event.status is not RunStatus.FAILED or error.infrastructure:
        return CallEnding(error.message, error.traceback)
    return CallEnding(f"the initializer raised {error.type}: {error.message}", error.traceback)


def _broken(ending: CallEnding) -> Exception:
    kind: type[BrokenExecutor]
    try:
        from concurrent.futures.process import BrokenProcessPool

        kind = BrokenProcessPool
    except RuntimeError:  # while Python ends it is not imported any more
        kind = BrokenExecutor
    error = kind(f"The call was not completed: {ending.message.rstrip('.')}.")
    if ending.traceback:
        error.__cause__ = _remote_traceback(ending.traceback)
    return error


def _remote_traceback(text: str) -> Exception:
    """What shows a traceback of another process as an error's cause, by the class that everybody's tools know."""
    from concurrent.futures import process

    made: Exception = process._RemoteTraceback(f'\n"""\n{text}"""')  # type: ignore[arg-type]
    return made


# Pools that have ended their work, for the next executor of their kind.


class _Kept(Locked):
    def __init__(self) -> None:
        super().__init__()
        self.pools: dict[Wanted, tuple[CallPool, threading.Timer]] = {}


_kept = _Kept()


def pool_for(wanted: Wanted) -> CallPool:
    """A pool of that kind that nobody uses, or a new one."""
    with _kept.lock:
        pool, timer = _kept.pools.pop(wanted, (None, None)) if wanted.is_shared else (None, None)
    if timer is not None:
        timer.cancel()
    return pool if pool is not None and pool.alive else CallPool(wanted)


def _keep(pool: CallPool) -> bool:
    """Keep an idle pool for a while; False where one of its kind is kept already."""
    timer = threading.Timer(_KEPT_S, _end_kept, [pool])
    timer.daemon = True
    with _kept.lock:
        if pool.wanted in _kept.pools or not threading.main_thread().is_alive():
            return False
        _kept.pools[pool.wanted] = pool, timer
    timer.start()
    return True


def _end_kept(pool: CallPool) -> None:
    with _kept.lock:
        known, _ = _kept.pools.get(pool.wanted, (None, None))
        if known is not pool:
            return
        del _kept.pools[pool.wanted]
    pool.close()


def _authkey() -> bytes | None:
    """What multiprocessing's managers of this process know their clients by, where it uses any."""
    process = sys.modules.get("multiprocessing.process")
    return None if process is None else bytes(process.current_process().authkey)


def _print(text: str) -> None:
    """Calls print where their caller prints."""
    with suppress(OSError, ValueError, AttributeError):  # the caller's stream is closed, or there is none
        sys.stdout.write(text)
        sys.stdout.flush()
