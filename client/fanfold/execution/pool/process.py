"""The pool's side of one worker: start it, hear it, see what it uses, end it."""

from __future__ import annotations

import codecs
import errno
import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from fanfold.contract.layout import LOG_LIMIT_BYTES
from fanfold.core.models import RunStatus
from fanfold.execution import calls as reports
from fanfold.execution import channel as wire
from fanfold.execution.calls import Call
from fanfold.execution.pool.scheduler import FeedState
from fanfold.execution.pool.spawn import Spawner
from fanfold.execution.worker.interpreter import remove_run_folders, remove_tree

if TYPE_CHECKING:
    from fanfold.environments.secrets import Redactor
    from fanfold.execution.pool.tree import ProcessTree

_PACKAGE_ROOT = Path(__file__).resolve().parents[3]
#: Answers read at a time: more than a pipe holds, so one read has all there are.
_ANSWER_BYTES = 1 << 20
_STACK_BYTES = 64 * 1024
#: What was killed and is not over by then is stuck in the kernel.
_STUCK_AFTER_S = 10.0


class WorkerProcess:
    """One worker: its process, what it answers, and what its run uses."""

    def __init__(self, folder: Path, queue_exit: int, spawner: Spawner) -> None:
        folder.mkdir()
        self.folder = folder
        self.replies, answers = os.pipe()
        os.set_blocking(self.replies, False)
        self._trace = os.open(folder / "trace", os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
        self._claims, offers = os.pipe()
        os.set_blocking(self._claims, False)
        # What a UDF makes of the mode of a descriptor that it finds must keep nobody else waiting.
        calls, claims = wire.opened_again(queue_exit), wire.opened_again(self._claims)
        self._child = spawner.start(folder, [calls, answers, self._trace, claims, offers])
        for fd in (calls, answers, claims, offers):
            os.close(fd)
        self._tree: ProcessTree | None = None
        self._log: LogTail | None = None
        self._redactor: Redactor | None = None
        self._unread = b""
        self._stack = ""
        self._tainted = False
        #: The call it performs, by the pool's number, and since when (time.monotonic seconds). Of calls that it has
        #: taken together it is the first, until `single_out`; all of these are `taken`, until it answers.
        self.running: int | None = None
        self.taken: set[int] = set()
        self._is_singled_out = False
        self.since = 0.0
        #: Whether it has lived long enough to say anything.
        self.has_spoken = False
        #: Why the pool has ended it; `innocent` where that was not for the call it performs by then.
        self.ended_for: str | None = None
        self.innocent = False
        #: Set where what it answers is no answer: the UDF has written to the worker's pipes.
        self.garbled = False
        self.closed_its_pipes = False
        self.memory_mib = 0.0
        self.peak_memory_mib = 0.0
        self.usage_told_at = 0.0

    @property
    def pid(self) -> int:
        """Its process id, which is its session's and process group's as well."""
        return self._child.pid

    @property
    def tree(self) -> ProcessTree:
        """It and what it has started."""
        if self._tree is None:
            from fanfold.execution.pool.tree import ProcessTree  # most calls are over before anybody looks at them

            self._tree = ProcessTree(self.pid)
            self._tree.restart(self.since)
        return self._tree

    def reply(self, question: int, facts: dict[str, Any], body: bytes) -> None:
        """Answer a question of its run, which waits for that and reads; nothing where it does not any more.

        Where it cannot be answered (this process can open no more files), its run is to begin again in another worker.
        """
        try:
            fd = os.open(self.folder / wire.REPLIES, os.O_WRONLY | os.O_NONBLOCK)
            try:
                wire.write_whole(fd, wire.pack_reply(question, facts, body))
            finally:
                os.close(fd)
        except OSError as error:
            if error.errno not in (errno.ENXIO, errno.ENOENT, errno.EPIPE):
                self.discard()

    def read(self) -> list[wire.Answer]:
        """What it has answered since the last look. Raises EOFError where it has closed its end."""
        try:
            answered = os.read(self.replies, _ANSWER_BYTES)
        except BlockingIOError:
            return []
        if not answered:
            raise EOFError
        self.has_spoken = True
        try:
            answers, self._unread = wire.unpack_answers(self._unread + answered)
        except wire.Garbled:
            self.garbled = True
            raise EOFError from None
        return answers

    @property
    def has_ended(self) -> bool:
        """Whether its process is over, though another may still hold its end of the pipe."""
        return self._child.poll() is not None

    def begin(self, call: int, *, log_number: int, now: float, taken: Iterable[int] = ()) -> None:
        """Note that it performs `call` and writes to its log of that number; with it it has `taken` others."""
        self.excuse()
        self.taken, self._is_singled_out = set(taken), False
        self._perform(call, now)
        if self._log is None:
            self._log = LogTail(self.folder / f"{log_number}.log")

    def _perform(self, call: int, now: float) -> None:
        self.running, self.since, self.usage_told_at = call, now, now
        self.memory_mib = self.peak_memory_mib = 0.0
        if self._tree is not None:
            self._tree.restart(now)

    @property
    def is_known(self) -> bool:
        """Whether it performs a call, and it is certain which."""
        return self.running is not None and (self._is_singled_out or not self.taken)

    def single_out(self, now: float) -> list[int]:
        """Take from it all calls that it has not begun, of those that it has taken together: it begins none of them.

        Those it has begun it has begun in order, so the last that is left is the one that it performs.
        """
        numbers: list[int] = []
        with suppress(BlockingIOError):
            while read := os.read(self._claims, _ANSWER_BYTES):
                numbers += wire.unpack_numbers(read)
        self.taken.difference_update(numbers)
        if self.taken and not self._is_singled_out:
            self._is_singled_out = True
            if self.running != (last := max(self.taken)):
                self._perform(last, now)
        return numbers

    def results_so_far(self) -> wire.Results | None:
        """What it has by now of the calls that it has taken together; None where these have begun without any."""
        try:
            with (self.folder / wire.SO_FAR).open("rb") as file:
                results = wire.SoFar.read_through(lambda size, at: os.pread(file.fileno(), size, at))
        except OSError:
            return None
        return results if results is not None and self.taken.issuperset(results.numbers) else None

    def passed_by(self, call: int) -> list[int]:
        """It speaks of `call` now: what it has taken before that, and not answered, it does not perform any more.

        A UDF of its has read their claims.
        """
        passed = [number for number in self.taken if number < call]
        if passed:
            self.has_answered(passed)
        return passed

    def has_answered(self, numbers: Iterable[int]) -> None:
        """Note that these calls are over, of those that it has taken together."""
        self.taken.difference_update(numbers)
        if not self.taken:
            self.running = None
        elif self.running not in self.taken:
            self.running = min(self.taken)

    @property
    def held(self) -> set[int]:
        """All calls that it has."""
        return self.taken if self.running is None else {*self.taken, self.running}

    def excuse(self) -> None:
        """An end that it was given was meant for the call before the one that it has begun."""
        if self.ended_for is not None:
            self.innocent, self.ended_for = True, None

    def rest(self, *, tainted: bool) -> None:
        """Note that its call is finished. A tainted worker performs no other: it and what the UDF left must go."""
        self.running = None
        self._tainted = tainted
        if tainted:
            self.kill()

    def report_log(self, feed: FeedState, call: Call, *, last: bool) -> None:
        """Report what the call has printed since the last look; `last`: it will print no more."""
        if self._log is None:
            return
        texts = self._log.finish() if last else self._log.news()
        if (texts or last) and (hidden := feed.assignment.hidden_of(call.arguments)):
            texts = self._redacted(texts, hidden, last=last)
        for text in texts:
            feed.report(reports.log(feed.assignment.job_id, call, text))
        if last:
            self._log = self._redactor = None

    def _redacted(self, texts: list[str], hidden: tuple[str, ...], *, last: bool) -> list[str]:
        from fanfold.environments.secrets import Redactor

        self._redactor = self._redactor or Redactor(hidden)
        text = self._redactor.piece("".join(texts), last=last)
        return [text] if text else []

    def measure(self, now: float) -> float:
        """Look at the memory of the worker and all it has started, in MiB, and remember the peak."""
        self.memory_mib = self.tree.memory_mib(now)
        self.peak_memory_mib = max(self.peak_memory_mib, self.memory_mib)
        return self.memory_mib

    def cpu_percent(self, now: float) -> float:
        """CPU of the worker and all it has started since the last call; 100 is one core."""
        self.usage_told_at = now
        return self.tree.cpu_percent(now)

    def used(self) -> tuple[float, float, float]:
        """Seconds, CPU seconds and peak MiB of the call that it did not live to report itself."""
        return round(time.monotonic() - self.since, 3), round(self.tree.cpu_s, 3), round(self.peak_memory_mib, 1)

    def discard(self) -> None:
        """End it without blame for whatever it may begin until then."""
        self.innocent = True
        self.kill()

    def end(self, status: RunStatus) -> None:
        """End it for a reason that its call is to report; first ask it where it stands."""
        self.ended_for = status.value
        if status is not RunStatus.CANCELLED:
            self._stack = self._where()
        self.kill()

    def stack(self) -> str:
        """Where it stood when it ended: asked before a kill, or written by the interpreter in a crash."""
        return users_part(self._stack or os.pread(self._trace, _STACK_BYTES, 0).decode(errors="replace"))

    def where(self) -> str:
        """Where it stands now, as far as that is the user's own code; it goes on."""
        return users_part(self._where())

    def kill(self) -> None:
        """End it and everything it has started, also what has left its session."""
        self._child.kill(tree=self.running is not None or self._tainted)

    def reap(self) -> int:
        """Wait for its end; its return code, negative for a signal. What it had started must not outlive it."""
        if self.garbled:
            self._child.kill(tree=True)
        code = self._child.wait(1)
        if code is None:  # it closed its replies yet lives: the UDF closed every descriptor
            self.closed_its_pipes = True
            self._child.kill(tree=True)
            code = self._child.wait(_STUCK_AFTER_S)
        return -signal.SIGKILL if code is None else code

    def close(self) -> None:
        """Let go of its descriptors and remove its folder."""
        if self._log is not None:  # its last call ran for long enough to be looked at, and printed nothing
            self._log.finish()
        self._child.close()
        for fd in (self.replies, self._trace, self._claims):
            os.close(fd)
        remove_run_folders(str(self.folder))
        remove_tree(self.folder)

    def _where(self) -> str:
        """The Python stack it stands at. Works while native code holds the interpreter's lock, hence by signal."""
        before = ask_for_stack(self.pid, lambda: os.fstat(self._trace).st_size, wait_s=0.3)
        return os.pread(self._trace, _STACK_BYTES, before).decode(errors="replace")


def ask_for_stack(pid: int, size: Callable[[], int], *, wait_s: float, at_most_s: float = 2.0) -> int:
    """Have a worker write down where it stands, and wait for it; how large what it writes to was before.

    On a machine that others use it may be its turn after `wait_s` only: then the signal is still on its way.
    """
    before = now = size()
    with suppress(ProcessLookupError):
        os.kill(pid, wire.WHERE_SIGNAL)
    asked_at = time.monotonic()
    while (waited_s := time.monotonic() - asked_at) < at_most_s:
        time.sleep(0.01)
        previous, now = now, size()
        if (now == previous > before or waited_s > wait_s) and not _has_yet_to_answer(pid):
            break
    return before


def where_signal_is(pid: int) -> set[str]:
    """In which sets of a process's first thread the signal is: `SigCgt` (caught), `ShdPnd` (on its way), `SigBlk`
    (held back). Empty where the system does not say."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            sets = [line.split(":") for line in status if line.startswith(("Sig", "Shd"))]
    except OSError:
        return set()
    return {name for name, mask in sets if name != "SigQ" and int(mask, 16) >> (wire.WHERE_SIGNAL - 1) & 1}


def _has_yet_to_answer(pid: int) -> bool:
    """Whether the signal is on its way, or is being answered: while it is, it is held back, and not on its way."""
    return len(where_signal_is(pid) & {"ShdPnd", "SigBlk"}) == 1


def users_part(stack: str) -> str:
    """A stack as the interpreter dumps it, without the frames that are Fanfold's own."""
    ours = (f'  File "{_PACKAGE_ROOT}/fanfold/', '  File "<string>", line 1 in <module>')
    return "".join(line for line in stack.splitlines(keepends=True) if not line.startswith(ours))


# Reads what one call prints, while it prints it.

#: The end of an over-long output that is kept beside its beginning.
_TAIL_BYTES = 64 * 1024
#: One log event's text at most; several together stay below a DynamoDB item's 400 KB.
_CHUNK_BYTES = 128 * 1024
#: A log file larger than this is emptied as it is read, so that endless printing does not fill the disk.
_EMPTY_ABOVE_BYTES = 64 * 1024 * 1024


class LogTail:
    """The output of one call: all of it up to `LOG_LIMIT_BYTES`, then only its end, with a line that says so."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._offset = 0
        self._kept = 0
        self._left_out = 0
        self._tail = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def news(self) -> list[str]:
        """What has been printed since the last call, in pieces."""
        if self._fd < 0:
            try:
                self._fd = os.open(self._path, os.O_RDWR)
            except FileNotFoundError:
                return []
        pieces = []
        while True:
            size = os.fstat(self._fd).st_size
            if size <= self._offset:
                break
            if self._kept >= LOG_LIMIT_BYTES:
                self._skip_to_tail(size)
                break
            data = os.pread(self._fd, min(_CHUNK_BYTES, LOG_LIMIT_BYTES - self._kept), self._offset)
            self._offset += len(data)
            self._kept += len(data)
            pieces.append(self._decoder.decode(data))
        if self._offset > _EMPTY_ABOVE_BYTES:
            # Open for appending, so what comes next goes to its end. Not to 0: an empty file says "has not printed".
            os.ftruncate(self._fd, 1)
            self._offset = 1
        return pieces

    def finish(self) -> list[str]:
        """The rest, and the file is done with."""
        pieces = self.news()
        if (left_out := self._left_out - len(self._tail)) > 0:
            note = f"\n[fanfold: {left_out:,} bytes of output are left out here]\n"
            pieces += [self._decoder.decode(b"", final=True), note, self._tail.decode(errors="replace")]
        else:
            pieces.append(self._decoder.decode(self._tail, final=True))
        if self._fd >= 0:
            os.close(self._fd)
            self._path.unlink(missing_ok=True)
        return [piece for piece in pieces if piece]

    def _skip_to_tail(self, size: int) -> None:
        start = max(self._offset, size - _TAIL_BYTES)
        data = os.pread(self._fd, size - start, start)
        self._left_out += size - self._offset
        self._tail = (self._tail + data)[-_TAIL_BYTES:]
        self._offset = size


# What the pool looks at while calls run: their output, the clock, their memory.


class LimitWatch:
    """Looks at every running call a few times a second, and ends those that exceed a limit."""

    INTERVAL_S: ClassVar[float] = 0.1

    def __init__(self) -> None:
        self._looked_at = 0.0

    def due(self, now: float) -> bool:
        """True where it is time for another look (`now` in time.monotonic seconds)."""
        if now - self._looked_at < self.INTERVAL_S:
            return False
        self._looked_at = now
        return True

    def look(self, worker: WorkerProcess, feed: FeedState, call: Call, now: float) -> None:
        """One look at one running call."""
        worker.report_log(feed, call, last=False)
        limits, ran_s = feed.assignment, now - worker.since
        if limits.timeout_s is not None and ran_s > limits.timeout_s:
            worker.end(RunStatus.TIMED_OUT)
            return
        if ran_s < self.INTERVAL_S:
            return
        memory_mib = worker.measure(now)
        if limits.memory_mib is not None and memory_mib > limits.memory_mib:
            worker.end(RunStatus.OUT_OF_MEMORY)
        elif limits.usage_interval_s is not None and now - worker.usage_told_at >= limits.usage_interval_s:
            self._report_usage(worker, feed, call, now)

    def _report_usage(self, worker: WorkerProcess, feed: FeedState, call: Call, now: float) -> None:
        percent = worker.cpu_percent(now)
        import shutil  # costs 3 ms, and most runs are too short to be looked at

        free_mib = shutil.disk_usage(feed.assignment.bundle.parent).free / 2**20
        measured = {"cpu_percent": percent, "memory_mib": worker.memory_mib, "disk_free_mib": round(free_mib)}
        feed.report(reports.usage(feed.assignment.job_id, call, **measured))
