"""What a pool is asked to run, and what it reports back."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from fanfold.contract.records import NamedTuple, made_of
from fanfold.core.models import NO_DATA, Event, EventKind, Output, PathRules, RunError, RunStatus, Usage, new_event_id
from fanfold.execution.channel import EXIT_NO_FILES, Asked, Finished, Results


class Interpreter(NamedTuple):
    """The program that workers come from (empty: this process's own), and what it has in its environment besides.

    `preloaded` are the packages that it has imported before it forks them, for that many `threads` in each.
    """

    python: str = ""
    variables: tuple[tuple[str, str], ...] = ()
    preloaded: tuple[str, ...] = ()
    threads: int = 0

    @property
    def plain(self) -> Interpreter:
        """The same with nothing imported."""
        return Interpreter(self.python, self.variables)


class Assignment(NamedTuple):
    """What all calls of one job share.

    `bundle` is the file that holds the UDF's source bundle, `blobs` the folder of large arguments by hash.
    `timeout_s` and `memory_mib` None: no limit.
    """

    job_id: str
    bundle: Path
    blobs: Path
    serializer: str = "auto"
    timeout_s: float | None = None
    memory_mib: int | None = None
    max_concurrency: int | None = None
    #: Seconds between usage events of a running call; None for none.
    usage_interval_s: float | None = None
    #: Whose job it is: a worker serves one owner only.
    owner: str = ""
    #: How many threads BLAS and OpenMP may start in a worker; None: its share of the cores.
    threads: int | None = None
    #: Each run in a process of its own.
    fresh: bool = False
    #: Whether more calls may be taken from the feed than are performed, so that none of its workers ever waits.
    takes_ahead: bool = True
    #: Whether each run stands in an empty folder of its own, and not where its pool does.
    own_folder: bool = False
    #: The folder that all runs share (`fanfold.mount_path`), where it is not said by the environment already.
    mount: Path | None = None
    #: Where runs keep data (`fanfold.data_path`), where it is not said by the environment already.
    data: str = ""
    #: The interpreter of its workers, where it brings packages along; empty: this process's own.
    python: str = ""
    #: Large arguments that this process has just stored, and what their files are: they need not be read to be known.
    known_blobs: Mapping[str, tuple[int, int, int]] = MappingProxyType({})
    #: Which paths count for the cache; None where nothing is kept for it.
    path_rules: PathRules | None = None
    #: Variables that its workers have in their environment from the start, the values of secrets among them: these are
    #: in no file, and `hidden` in all that is told of its runs.
    variables: tuple[tuple[str, str], ...] = ()
    hidden: tuple[str, ...] = ()
    #: Whether a run that comes near its limit between two steps ends there, and goes on in another try.
    goes_on_later: bool = False
    #: After how many calls a worker is replaced by a new one; None: never for that.
    calls_per_worker: int | None = None
    #: What opens the secrets among its arguments: in no file either, it goes to a worker with each call.
    sealing_key: bytes = b""

    @property
    def workers(self) -> tuple[object, ...]:
        """Which workers may perform it: assignments of which this differs never share any."""
        return str(self.bundle), self.owner, self.fresh, self.own_folder, self.interpreter

    @property
    def calls_are_alike(self) -> bool:
        """Whether it is nothing to a call which others its worker performs."""
        return not (self.fresh or self.calls_per_worker or self.sealing_key)

    @property
    def interpreter(self) -> Interpreter:
        """What its workers are processes of."""
        return Interpreter(self.python, self.variables)

    def for_workers(self) -> dict[str, Any]:
        """What workers are told (`worker.perform.JobContext`)."""
        return {
            "job_id": self.job_id,
            "bundle": str(self.bundle),
            "blobs": str(self.blobs),
            "serializer": self.serializer,
            "mount": str(self.mount or ""),
            "data": self.data,
            "fresh": self.fresh,
            "own_folder": self.own_folder,
            "path_rules": self.path_rules,
            "known_blobs": dict(self.known_blobs),
            "go_on_later_after_s": self.timeout_s if self.goes_on_later else None,
            "calls_per_worker": self.calls_per_worker,
            "sealed": bool(self.sealing_key),
        }

    def hidden_of(self, arguments: str) -> tuple[str, ...]:
        """The values that nobody is to read in what is told of a call: the job's secrets, and those it is given."""
        if not self.sealing_key:
            return self.hidden
        from fanfold.codec.sealed import SealingKey, texts_of_secrets

        return (*self.hidden, *texts_of_secrets(arguments, SealingKey(self.sealing_key)))


class Call(NamedTuple):
    """One attempt of one run: its index, its attempt, its arguments as encoded text."""

    index: int  # type: ignore[assignment]  # tuple.index is of no use here
    attempt: int
    arguments: str


class Report(NamedTuple):
    """An event, and the file that holds its result where that is too large to travel inside.

    The recorder stores the file before the event: a run counts as done only when its result is safe.
    """

    event: Event
    result_file: Path | None = None


class Feed(Protocol):
    """Where a pool's calls come from and where its reports go. Used by the pool's own thread only."""

    assignment: Assignment

    def take(self) -> Call | None:
        """The next call to run, or None where there is none for now."""

    def record(self, reports: Sequence[Report]) -> None:
        """Keep what happened. May make new calls available (a retry)."""


# What a pool saw, as events.


def started(job_id: str, call: Call, at: float, pid: int) -> Report:
    """A worker has begun a call."""
    return _report(job_id, call, EventKind.STARTED, at=at, data={"pid": pid})


def log(job_id: str, call: Call, text: str) -> Report:
    """A call has printed something."""
    return _report(job_id, call, EventKind.LOG, data={"text": text})


def usage(job_id: str, call: Call, **measured: float) -> Report:
    """What a running call uses right now."""
    return _report(job_id, call, EventKind.USAGE, data=measured)


def step(assignment: Assignment, call: Call, asked: Asked, reply: Mapping[str, Any]) -> Report | None:
    """A step was computed and kept, or answered with what is kept; None where it was only looked for."""
    facts, name = asked.facts, str(asked.facts["name"])
    if hidden := assignment.hidden_of(call.arguments):
        from fanfold.environments.secrets import Redactor

        name = Redactor(hidden).whole(name)
    told: dict[str, Any] = {"name": name, "what": facts["what"]}
    if "kept" in reply:
        told["took_s"] = round(facts["took_s"], 6)
    elif "codec" in reply:
        told.update({name: reply[name] for name in ("took_s", "made_at", "made_by")})
    else:
        return None
    return _report(assignment.job_id, call, EventKind.STEP, data=told)


def finished(job_id: str, call: Call, done: Finished, sampled_peak_mib: float) -> Report:
    """A worker has answered: the result, or the user's own error."""
    index, attempt, _ = call
    peak_mib = done.peak_memory_mib
    if sampled_peak_mib > peak_mib:
        peak_mib = round(sampled_peak_mib, 1)
    used = Usage(done.duration_s, done.cpu_s, peak_mib)
    at, event_id, packed = done.at, new_event_id(done.at), done.output
    if packed is None:
        error = _error(done.error or {})
        return Report(
            Event(job_id, index, attempt, EventKind.FINISHED, at, event_id, RunStatus.FAILED, None, error, used)
        )
    output = Output(packed.codec, packed.sha256.hex(), packed.size, done.body if packed.file is None else None)
    facts = (RunStatus.SUCCEEDED, output, None, used, packed.marks or NO_DATA)
    succeeded = Event(job_id, index, attempt, EventKind.FINISHED, at, event_id, *facts)
    return Report(succeeded, None if packed.file is None else Path(packed.file))


def is_plain(done: Finished) -> bool:
    """Whether an answer is a small result and nothing else, as most are."""
    output = done.output
    return output is not None and output.file is None and not output.marks


def plain_results(job_id: str, results: Sequence[tuple[Call, Finished, float]]) -> list[Report]:
    """Reports of plain answers, each with the MiB that the pool has seen: by columns, at a third of the cost."""
    if not results:
        return []
    calls, answers, sampled = zip(*results, strict=True)
    _, ats, durations, cpus, peaks, packed, _, bodies, _, _ = zip(*answers, strict=True)
    codecs, sizes, hashes, _, _ = zip(*packed, strict=True)
    if any(sampled):
        peaks = tuple(round(seen, 1) if seen > peak else peak for peak, seen in zip(peaks, sampled, strict=True))
    return _successes(job_id, calls, (ats, durations, cpus, peaks), (codecs, hashes, sizes, bodies))


def results_of_chunk(job_id: str, calls: Sequence[Call], told: Results) -> list[Report]:
    """Reports of calls that a worker had taken together."""
    used = told.at, told.duration_s, told.cpu_s, repeat(told.peak_memory_mib)
    return _successes(job_id, calls, used, (told.codecs, told.sha256, map(len, told.bodies), told.bodies))


def _successes(
    job_id: str, calls: Sequence[Call], used: Sequence[Iterable[Any]], results: Sequence[Iterable[Any]]
) -> list[Report]:
    """Reports, by columns: of each when it ended, seconds, CPU seconds, MiB; codec, sha256, bytes and body."""
    (ats, durations, cpus, peaks), (codecs, hashes, sizes, bodies) = used, results
    indexes, attempts, _ = zip(*calls, strict=True)
    count = len(calls)
    usages = made_of(Usage, (durations, cpus, peaks), count)
    outputs = made_of(Output, (codecs, map(bytes.hex, hashes), sizes, bodies, repeat(None)), count)
    kinds = repeat(EventKind.FINISHED), ats, map(new_event_id, ats), repeat(RunStatus.SUCCEEDED)
    events = made_of(
        Event, (repeat(job_id), indexes, attempts, *kinds, outputs, repeat(None), usages, repeat(NO_DATA)), count
    )
    return made_of(Report, (events, repeat(None)), count)


def _error(facts: dict[str, Any]) -> RunError:
    return RunError(**{**facts, "types": tuple(facts["types"])})


def redacted(report: Report, hidden: Sequence[str]) -> Report:
    """The report of a failure without the values that nobody is to read. An exception that has one is told as text."""
    from fanfold.environments.secrets import Redactor

    event, clean = report.event, Redactor(hidden).whole
    if event.error is None:
        return report
    kind, message, trace, types, infrastructure, next_step, exception = event.error
    exception = exception if clean(exception) == exception else ""
    error = RunError(kind, clean(message), clean(trace), types, infrastructure, clean(next_step), exception)
    return report._replace(event=event._replace(error=error))


def cancelled(job_id: str, call: Call) -> Report:
    """A call was taken back before a worker began it."""
    error = RunError("Cancelled", "the job was cancelled before this run began")
    return _report(job_id, call, EventKind.FINISHED, status=RunStatus.CANCELLED, error=error)


class WorkerEnding(NamedTuple):
    """How a worker ended: for what the pool ended it (or None), its return code, and the stack where it stood.

    `broke_its_pipes` where the pool has ended it because the UDF had closed, or written to, the pipes it answers by.
    """

    ended_for: str | None
    code: int
    stack: str
    broke_its_pipes: bool = False


def ended(assignment: Assignment, call: Call, used: Usage, ending: WorkerEnding) -> Report:
    """A worker has ended in the middle of a call."""
    status, error = _cause(assignment, used, ending)
    return _report(assignment.job_id, call, EventKind.FINISHED, status=status, error=error, usage=used)


def _cause(assignment: Assignment, used: Usage, ending: WorkerEnding) -> tuple[RunStatus, RunError]:
    if ending.ended_for == RunStatus.TIMED_OUT:
        message = f"still running after {assignment.timeout_s:g} s, which is the limit"
        return RunStatus.TIMED_OUT, RunError("TimeoutError", message, ending.stack, ("builtins.TimeoutError",))
    if ending.ended_for == RunStatus.OUT_OF_MEMORY:
        message = f"used {used.peak_memory_mib:,.0f} MiB; the limit is {assignment.memory_mib:,} MiB"
        return RunStatus.OUT_OF_MEMORY, RunError("MemoryError", message, ending.stack, ("builtins.MemoryError",))
    if ending.ended_for == RunStatus.CANCELLED:
        return RunStatus.CANCELLED, RunError("Cancelled", "the job was cancelled while this run was running")
    if ending.broke_its_pipes:
        return RunStatus.FAILED, RunError("WorkerDied", _BROKEN_PIPES, ending.stack, (), True, _KEEP_PIPES)
    if ending.code == EXIT_NO_FILES:
        return RunStatus.FAILED, RunError("WorkerDied", _NO_FILES, ending.stack, (), True, _KEEP_LIMIT)
    return RunStatus.FAILED, RunError("WorkerDied", _last_act(ending.code), ending.stack, infrastructure=True)


_BROKEN_PIPES = (
    "the UDF closed, or wrote to, file descriptors that it had not opened: those by which its process answers"
)
_NO_FILES = "the UDF has left its process no file to open: as many are open as it may have (RLIMIT_NOFILE)"
_KEEP_LIMIT = "close each file and socket when it is done with (`with open(...)`), and leave the limit as it is."
_KEEP_PIPES = "close only what the UDF has opened itself (os.closerange and os.close on unknown numbers close all)."


def _last_act(code: int) -> str:
    if code >= 0:
        return f"its process ended with exit code {code} in the middle of the run (os._exit, or a library's own exit)"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = {
        "SIGKILL": " (kill -9, or the operating system ran out of memory)",
        "SIGSEGV": " (a crash in native code)",
        "SIGBUS": " (memory that could not be had: /dev/shm is full, or a mapped file has no room)",
    }
    return f"its process was ended by {name}{hint.get(name, '')} in the middle of the run"


def _report(job_id: str, call: Call, kind: EventKind, **facts: Any) -> Report:
    return Report(Event.new(job_id, call.index, call.attempt, kind, **facts))
