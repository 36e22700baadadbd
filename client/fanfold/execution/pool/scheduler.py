"""Which call goes out next: from its feed into the queue of the bundle's workers, and back where none has begun it."""

from __future__ import annotations

import errno
import fcntl
import json
import math
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from fanfold.contract.records import NamedTuple
from fanfold.execution import calls as reports
from fanfold.execution.calls import Assignment, Call, Feed, Report
from fanfold.execution.channel import RETIRE, Asked, Finished, Reply, pack_call, unpack_call

# How many workers a backlog is worth: starting one takes a core as long as a hundred no-op calls take another.

#: What starting a worker takes of a core: a fork, and the loading of a small UDF.
_START_S = 0.01
#: The last call weighs this much in what the next is expected to take.
_NEWS = 0.2
#: A call that is running may be loading its UDF still for so long.
_LOAD_S = 0.02


class Autoscaler:
    """What calls take, as far as is known, and how many workers they are therefore worth."""

    def __init__(self) -> None:
        self._call_s = 0.0
        self._last_s = 0.0

    def note(self, duration_s: float) -> None:
        """A call has taken this long. The lesser of two in a row counts: a worker's first one loads the UDF as well."""
        self._call_s += _NEWS * (min(duration_s, self._last_s) - self._call_s)
        self._last_s = duration_s

    def worth(self, ready: int, waiting: int, running_s: float) -> int:
        """How many workers there should be, where `ready` are up and `waiting` calls have been begun by none of them.

        `running_s`: how long the call that is running longest has taken by now; those that wait may take as long.
        """
        backlog_s = waiting * max(self._call_s, running_s - _LOAD_S)
        return max(1, ready + int(backlog_s / _START_S))

    def look_again_s(self, waiting: int) -> float:
        """After how long a call that is running now makes another worker worth its start."""
        return _START_S / max(waiting, 1) + _LOAD_S


# The queue that the workers of a bundle share: whole messages, each read by exactly one worker.

#: Longest message: what a pipe takes as one packet (PIPE_BUF). Longer arguments go through a file.
_MESSAGE_BYTES = 4096
#: Room in a pipe: a slot of 4 KiB for each message. Unprivileged processes may have this much (pipe-max-size).
_PIPE_BYTES = 1 << 20


class CallQueue:
    """Calls on their way to whichever worker is free first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._entry, self.exit = _message_pipe()
        os.set_blocking(self._entry, False)
        os.set_blocking(self.exit, False)  # the workers share this description, and its mode with it

    def put(self, number: int, assignment: int, call: Call, key: bytes = b"") -> bool:
        """Queue one call, and what opens the secrets it is given; False where the kernel's queue is full for now."""
        arguments = call.arguments.encode()
        message = pack_call(number, assignment, call[:2], key + arguments)
        if len(message) > _MESSAGE_BYTES:
            self._spilled(number).write_bytes(arguments)
            message = pack_call(number, assignment, call[:2], key, spilled=True)
        return self._write(message)

    def put_retirement(self) -> bool:
        """Have one worker, whichever comes to it first, end itself."""
        return self._write(RETIRE)

    def _write(self, message: bytes) -> bool:
        try:
            os.write(self._entry, message)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ENOBUFS):  # macOS says ENOBUFS
                raise
            return False
        return True

    def drain(self) -> Iterator[int]:
        """Take back every call that no worker has taken; their numbers."""
        while True:
            try:
                message = os.read(self.exit, _MESSAGE_BYTES)
            except BlockingIOError:
                return
            if message == RETIRE:
                continue
            number = unpack_call(message).number
            self._spilled(number).unlink(missing_ok=True)
            yield number

    @property
    def empty(self) -> bool:
        """True where every call has been taken by a worker."""
        import select

        poll = select.poll()  # select.select takes no descriptor above 1023
        poll.register(self.exit, select.POLLIN)
        return not poll.poll(0)

    def close(self) -> None:
        """Workers that wait for a call see the end of the queue."""
        os.close(self._entry)
        os.close(self.exit)

    def _spilled(self, number: int) -> Path:
        return self._folder / f"{number}.arguments"


def _message_pipe() -> tuple[int, int]:
    """Where messages go in and where they come out, in order, each to one reader."""
    if sys.platform != "linux":  # macOS has neither packet pipes nor SEQPACKET; its local datagrams do not get lost
        import socket

        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        return ours.detach(), theirs.detach()
    exit_, entry = os.pipe2(os.O_DIRECT | os.O_CLOEXEC)  # O_DIRECT: each write is a packet, and each read one packet
    with suppress(OSError):  # a user with very many pipes has to do with 16 messages
        fcntl.fcntl(entry, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return entry, exit_


class Scheduler:
    """The feeds of one bundle, a call of each in turn; `numbers` counts the calls and assignments of the whole pool."""

    def __init__(self, queue: CallQueue, folder: Path, numbers: Iterator[int]) -> None:
        self.feeds: list[FeedState] = []
        self.in_flight = InFlight()
        self._queue = queue
        self._folder = folder
        self._numbers = numbers

    def add(self, feed: Feed, *, threads: int) -> None:
        """Let another feed have its turns: what waits in the queue lines up anew."""
        self.take_back()
        state = FeedState(feed, next(self._numbers), self._folder)
        state.assignment_file.write_text(
            json.JSONEncoder().encode({**feed.assignment.for_workers(), "threads": threads}), encoding="utf-8"
        )
        self.feeds.append(state)

    def serves(self, feed: Feed) -> bool:
        """True while the feed has anything in flight or left to give."""
        return any(state.feed is feed for state in self.feeds)

    def cancel(self, feed: Feed) -> None:
        """Take the feed's waiting calls back and give out no other."""
        for state in self.feeds:
            state.cancelled |= state.feed is feed
        self.take_back()

    def fill(self, length: int, workers: int) -> None:
        """Keep `length` calls in flight, of each feed in turn, for that many `workers`.

        The only feed, whose limit is no less than the number of workers, needs no counting: they cannot perform more.
        """
        room = length - len(self.in_flight)
        if room > 0 and len(self.feeds) == 1:
            self._fill_from(self.feeds[0], room, workers)
            return
        giving = list(self.feeds)
        while room > 0 and giving:
            for state in giving[:]:
                call = state.next_call(counted=True)
                if call is None:
                    giving.remove(state)
                elif self._send(state, call):
                    room -= 1
                else:
                    state.put_back(call)
                    giving.clear()
                    break

    def _fill_from(self, state: FeedState, room: int, workers: int) -> None:
        counted = not state.assignment.takes_ahead or workers > (state.limit or workers)
        for _ in range(room):
            call = state.next_call(counted=counted)
            if call is None:
                return
            if not self._send(state, call):
                state.put_back(call)
                return

    def take_back(self) -> None:
        """Empty the queue; what was in it goes out again."""
        for number in reversed(list(self._queue.drain())):  # each goes before what its feed has waiting
            self.give_back(number)

    def give_back(self, number: int) -> None:
        """A call that no worker has begun goes out again, or is over where its feed was cancelled."""
        sent = self.in_flight.close(number)
        if sent is None:
            return
        self.remove_result(number)
        if sent.feed.cancelled:
            sent.feed.report(reports.cancelled(sent.feed.assignment.job_id, sent.call))
        else:
            sent.feed.put_back(sent.call)

    def send_lost_again(self, performed: set[int], now: float) -> None:
        """Calls that were taken from the queue and never begun go out again: a worker died, or a UDF read them."""
        empty = self._queue.empty
        if empty and len(self.in_flight) > len(performed):
            self.in_flight.suspect(performed)
        for number in reversed(self.in_flight.lost(performed, now, queue_empty=empty)):
            self.give_back(number)

    def hand_on(self, now: float) -> None:
        """Hand on to the feeds what has come of their calls, and let go of those that are over."""
        for state in self.feeds[:]:
            state.hand_on(now)
            if state.is_over:
                self.feeds.remove(state)
                state.assignment_file.unlink(missing_ok=True)

    def remove_result(self, number: int) -> None:
        """Remove what a worker that has ended may have written of the call's result."""
        (self._folder / f"{number}.result").unlink(missing_ok=True)

    def _send(self, state: FeedState, call: Call) -> bool:
        number = next(self._numbers)
        if not self._queue.put(number, state.number, call, state.assignment.sealing_key):
            return False
        self.in_flight.add(number, state, call)
        return True


# The calls in flight: in the queue, or with a worker.

#: How long a call may be with no worker before it counts as lost: a worker says within milliseconds what it has taken.
_LOST_AFTER_S = 1.0


class Sent(NamedTuple):
    """A call in flight, and the feed that it came from."""

    feed: FeedState
    call: Call


class InFlight:
    """Calls in flight, by number. A later call has a higher number, and the queue keeps their order."""

    def __init__(self) -> None:
        self._sent: dict[int, Sent] = {}
        self._latest_begun = -1
        self._suspects: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._sent)

    def __getitem__(self, number: int) -> Sent:
        return self._sent[number]

    def find(self, number: int) -> Sent | None:
        """The call of that number, where it is in flight."""
        return self._sent.get(number)

    def add(self, number: int, feed: FeedState, call: Call) -> None:
        """Note that a call is in flight."""
        self._sent[number] = Sent(feed, call)
        feed.note_sent()

    def begin(self, number: int) -> Sent | None:
        """A worker has begun the call; None where it is no longer expected of any."""
        self.note_begun(number)
        return self._sent.get(number)

    def note_begun(self, number: int) -> None:
        """The queue has gone past that call."""
        self._latest_begun = max(self._latest_begun, number)

    def close(self, number: int) -> Sent | None:
        """The call is no longer in flight; None where it has not been."""
        sent = self._sent.pop(number, None)
        if sent is not None:
            sent.feed.note_returned(number)
        return sent

    def suspect(self, performed: Collection[int]) -> None:
        """A worker has died: it may have taken any call that is not `performed` by another, before it could say so."""
        for number in self._sent.keys() - performed:
            self._suspects.setdefault(number, math.inf)

    def lost(self, performed: Collection[int], now: float, *, queue_empty: bool) -> list[int]:
        """The calls that died with a worker before it could say that it had taken them.

        There is nothing to see of such a call but that the queue has gone past it and no worker has begun it.
        """
        if not self._suspects:
            return []
        self._suspects = {
            number: min(since, now if queue_empty or number < self._latest_begun else math.inf)
            for number, since in self._suspects.items()
            if number in self._sent and number not in performed
        }
        return sorted(number for number, since in self._suspects.items() if now - since > _LOST_AFTER_S)


# A feed while a pool serves it: what is out, what waits, what is still to be handed on.

#: Reports are handed on when this many have come or the first has waited this long: one commit, one batch write.
BATCH = 200
BATCH_S = 0.02


#: What a run is told that is an executor's call.
NOT_A_JOBS = "a call of an executor is not a run of a job, and is not tried again"


class HasPid(Protocol):
    """A worker."""

    @property
    def pid(self) -> int:
        """Its process id."""


class FeedState:
    """What a pool knows of one feed."""

    def __init__(self, feed: Feed, number: int, folder: Path) -> None:
        self.feed = feed
        #: What workers know the assignment by.
        self.number = number
        self.assignment_file = folder / f"assignment-{number}.json"
        self.cancelled = False
        #: Whether calls may come at any time: it is not over while it has none.
        self.stays_open: bool = getattr(feed, "stays_open", False)
        self._in_flight = 0
        self._waiting: deque[Call] = deque()
        self._reports: list[Report] = []
        #: Results whose reports are made together: each with its call, and the MiB that the pool has seen.
        self._results: list[tuple[Call, Finished, float]] = []
        self._begun: dict[int, tuple[Call, float, HasPid]] = {}
        self._oldest = 0.0

    @property
    def assignment(self) -> Assignment:
        """What all its calls share."""
        return self.feed.assignment

    @property
    def has_reports(self) -> bool:
        """True while there is something to hand on."""
        return bool(self._reports or self._begun or self._results)

    @property
    def at_rest(self) -> bool:
        """True while nothing is in flight, and nothing will be until somebody wakes the pool."""
        return self.stays_open and not self._in_flight and not self.has_reports

    @property
    def limit(self) -> int | None:
        """How many of its calls may be performed at once; None for any number."""
        return self.assignment.max_concurrency

    @property
    def next_in_s(self) -> float | None:
        """Seconds until its next call may go out; None where it waits for no such moment."""
        wait_s: float | None = getattr(self.feed, "next_in_s", None)
        return wait_s

    def note_sent(self) -> None:
        """One more of its calls is in flight."""
        self._in_flight += 1

    def note_returned(self, number: int) -> None:
        """One of its calls is in flight no more. Its end tells when it began, too."""
        self._in_flight -= 1
        self._begun.pop(number, None)

    def next_call(self, *, counted: bool) -> Call | None:
        """The next call that may go out now; `counted`: no more of them than its limit may be in flight."""
        if self.cancelled or (counted and self.limit is not None and self._in_flight >= self.limit):
            return None
        return self._waiting.popleft() if self._waiting else self.feed.take()

    def is_obsolete(self, call: Call) -> bool:
        """Whether nobody needs what comes of a call any more: its run has a result by another."""
        return call[:2] in getattr(self.feed, "obsolete", ())

    def put_back(self, call: Call) -> None:
        """A call that was not performed goes out again, before any other."""
        self._waiting.appendleft(call)

    def report_result(self, call: Call, done: Finished, sampled_mib: float) -> None:
        """Note what a worker has answered of a call."""
        if reports.is_plain(done):
            if not self.has_reports:
                self._oldest = time.monotonic()
            self._results.append((call, done, sampled_mib))
        else:
            self.report_end(call, reports.finished(self.assignment.job_id, call, done, sampled_mib))

    def report_end(self, call: Call, report: Report) -> None:
        """Note how a call ended, without any secret that its error may tell."""
        if report.event.error is not None and (hidden := self.assignment.hidden_of(call.arguments)):
            report = reports.redacted(report, hidden)
        self.report(report)

    def report(self, report: Report) -> None:
        """Note what happened; it is handed on with others."""
        if not self.has_reports:
            self._oldest = time.monotonic()
        self._reports.append(report)

    def report_start(self, number: int, call: Call, at: float, worker: HasPid) -> None:
        """Note that a call has begun. Only told of a call that is still running when reports are handed on."""
        if not self.has_reports:
            self._oldest = time.monotonic()
        self._begun[number] = call, at, worker

    def answer(self, call: Call, asked: Asked) -> Reply:
        """What the feed has to say to a run's question; no feed but a job's has anything."""
        answer: Callable[[Call, Asked], Reply] | None = getattr(self.feed, "answer", None)
        if answer is None:
            return {"refused": NOT_A_JOBS}, b""
        reply = answer(call, asked)
        report = reports.step(self.assignment, call, asked, reply[0])
        if report is not None:
            self.report(report)
        return reply

    def hand_on(self, now: float) -> None:
        """Give the feed its reports where it is time to: a full batch, an old one, or nothing more to wait for."""
        if not self.has_reports:
            return
        come = len(self._reports) + len(self._results)
        if self._in_flight == 0 or come >= BATCH or now - self._oldest >= BATCH_S:
            job_id = self.assignment.job_id
            begun = [reports.started(job_id, call, at, worker.pid) for call, at, worker in self._begun.values()]
            batch = [*begun, *self._reports, *reports.plain_results(job_id, self._results)]
            self._begun, self._reports, self._results = {}, [], []
            self.feed.record(batch)

    @property
    def is_over(self) -> bool:
        """True where nothing is in flight or to be handed on, and the feed has nothing more to give."""
        if self._in_flight or self.has_reports:
            return False
        if self.cancelled:
            return True
        if self.stays_open:
            return False
        if not self._waiting and (call := self.feed.take()) is not None:
            self._waiting.append(call)
        return not self._waiting and not getattr(self.feed, "is_waiting", False)
