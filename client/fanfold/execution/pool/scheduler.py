"""Which call goes out next: from its feed into the queue of the bundle's workers, and back where none has begun it."""

from __future__ import annotations

import json
import math
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from fanfold.contract.records import NamedTuple
from fanfold.execution import calls as reports
from fanfold.execution.calls import Assignment, Call, Feed, Report
from fanfold.execution.channel import CHUNK_CALLS, Asked, CallQueue, Finished, Reply, Results

# How many workers a backlog is worth: starting one takes a core as long as a hundred no-op calls take another.

#: What starting a worker takes of a core: a fork, and the loading of a small UDF.
_START_S = 0.01
#: The last call weighs this much in what the next is expected to take.
_NEWS = 0.2
#: A call that is running may be loading its UDF still for so long.
_LOAD_S = 0.02
#: Calls are sent together that take no longer than this together, as far as is known from so many ends.
_CHUNK_S, _KNOWN_FROM = 0.001, 8


class Autoscaler:
    """What calls take, as far as is known, and how many workers they are therefore worth."""

    def __init__(self) -> None:
        self._call_s = 0.0
        self._last_s = 0.0
        self._noted = 0

    def note(self, duration_s: float) -> None:
        """A call has taken this long. The lesser of two in a row counts: a worker's first one loads the UDF as well."""
        self._call_s += _NEWS * (min(duration_s, self._last_s) - self._call_s)
        self._last_s = duration_s
        self._noted += 1

    @property
    def together(self) -> int:
        """How many calls are worth one message: what a message takes besides is more than the shortest calls take."""
        if self._noted < _KNOWN_FROM:
            return 1
        return max(1, min(CHUNK_CALLS, int(_CHUNK_S / max(self._call_s, 1e-6))))

    def worth(self, ready: int, waiting: int, running_s: float) -> int:
        """How many workers there should be, where `ready` are up and `waiting` calls have been begun by none of them.

        `running_s`: how long the call that is running longest has taken by now; those that wait may take as long.
        """
        backlog_s = waiting * max(self._call_s, running_s - _LOAD_S)
        return max(1, ready + int(backlog_s / _START_S))

    def look_again_s(self, waiting: int) -> float:
        """After how long a call that is running now makes another worker worth its start."""
        return _START_S / max(waiting, 1) + _LOAD_S


# Who has the pool's places: several bundles may have more to do than there are workers to be had.

#: A set whose turn is over, or that has never had one for so long, gets the next.
_PATIENCE_S = 2.0
#: A set keeps its last worker for so long before one that is new gets it: a start takes longer than small calls.
_KEEP_S = 0.02


class HasWork(Protocol):
    """Workers of one bundle."""

    turn_since: float
    has_had_turn: bool

    @property
    def staying(self) -> int:
        """How many there are that have not been asked to end."""

    def wanted(self, size: int, now: float) -> int:
        """How many of a pool's there should be."""


_W = TypeVar("_W", bound=HasWork)


def shares(sets: Sequence[_W], size: int, now: float) -> dict[_W, int]:
    """How many workers each set may have by now, of `size`: as many as it wants, the same for all, in turns.

    Every set that has work gets one, in the order of `in_turn`; what is left is dealt out one by one.
    """
    wanted = {each: each.wanted(size, now) for each in sets}
    if len(sets) == 1:
        return {each: min(size, most) for each, most in wanted.items()}
    given = dict.fromkeys(sets, 0)
    left = size
    order = in_turn(sets, now)
    while left > 0:
        wanting = [each for each in order if given[each] < wanted[each]][:left]
        if not wanting:
            break
        for each in wanting:
            given[each] += 1
        left -= len(wanting)
    return given


def in_turn(sets: Sequence[_W], now: float) -> list[_W]:
    """Whose turn it is first: a set that has just begun, one that has waited long, a new one, and then the others."""
    return sorted(sets, key=lambda each: _place(each, now))


def _place(each: HasWork, now: float) -> tuple[int, float]:
    since = now - each.turn_since
    if each.staying:
        return (0 if since < _KEEP_S else 3), since
    if since > _PATIENCE_S:
        return 1, -since
    return (4 if each.has_had_turn else 2), -since


# Which call goes out next.


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

    def fill(self, length: int, workers: int, together: int) -> None:
        """Keep `length` calls in flight, of each feed in turn, for that many `workers`.

        The only feed, whose limit is no less than the number of workers, needs no counting: they cannot perform more.
        `together`: so many of its calls may be one message.
        """
        room = length - len(self.in_flight)
        if room > 0 and len(self.feeds) == 1:
            self._fill_from(self.feeds[0], room, workers, together)
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

    def _fill_from(self, state: FeedState, room: int, workers: int, together: int) -> None:
        counted = not state.assignment.takes_ahead or workers > (state.limit or workers)
        if not counted and (most := min(together, state.most_together)) > 1:
            self._fill_with_chunks(state, room, most)
            return
        for _ in range(room):
            call = state.next_call(counted=counted)
            if call is None:
                return
            if not self._send(state, call):
                state.put_back(call)
                return

    def _fill_with_chunks(self, state: FeedState, room: int, together: int) -> None:
        """The same, several calls a message: what is in flight may be a chunk more."""
        while room > 0:
            calls = state.next_calls(together)
            if not calls or not self._send_chunk(state, calls):
                return
            room -= len(calls)

    def take_back(self) -> None:
        """Empty the queue; what was in it goes out again."""
        self.give_back_all(self._queue.drain())  # each goes before what its feed has waiting

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

    def report_results(self, results: Results) -> None:
        """Results of calls that were taken together."""
        sent = self.in_flight.close_all(results.numbers)
        if sent:
            sent[0].feed.report_results([call for _, call in sent], results)
        elif sent is None:  # one of them took so long that it counted as lost
            for done in results.each():
                if (one := self.in_flight.close(done.call)) is not None:
                    one.feed.report_result(one.call, done, 0.0)

    def give_back_all(self, numbers: Iterable[int]) -> None:
        """Calls that no worker has begun go out again, in their order."""
        for number in sorted(numbers, reverse=True):
            self.give_back(number)

    def send_lost_again(self, performed: set[int], now: float) -> None:
        """Calls that were taken from the queue and never begun go out again: a worker died, or a UDF read them."""
        empty = self._queue.empty
        if empty and len(self.in_flight) > len(performed):
            self.in_flight.suspect(performed)
        self.give_back_all(self.in_flight.lost(performed, now, queue_empty=empty))

    def hand_on(self, now: float) -> bool:
        """Hand on to the feeds what has come of their calls, and let go of those that are over.

        Whether there may be more to hand out by now: a feed that hears of an end may have another try to give.
        """
        has_more = False
        for state in self.feeds[:]:
            has_more |= state.hand_on(now)
            if state.is_over:
                self.feeds.remove(state)
                state.assignment_file.unlink(missing_ok=True)
                has_more = True
            has_more |= state.has_waiting
        return has_more

    def remove_result(self, number: int) -> None:
        """Remove what a worker that has ended may have written of the call's result."""
        (self._folder / f"{number}.result").unlink(missing_ok=True)

    def _send_chunk(self, state: FeedState, calls: Sequence[Call]) -> bool:
        """Send calls, in one message where they fit; what is not sent waits. False where the queue is full for now."""
        if len(calls) == 1:
            return self._send_each(state, calls)
        numbers = [next(self._numbers) for _ in calls]
        is_sent = self._queue.put_chunk(numbers[0], state.number, calls)
        if is_sent is None:
            state.most_together = len(calls) // 2
            return self._send_each(state, calls)
        if is_sent:
            for number, call in zip(numbers, calls, strict=True):
                self.in_flight.add(number, state, call)
        else:
            state.put_back_all(calls)
        return is_sent

    def _send_each(self, state: FeedState, calls: Sequence[Call]) -> bool:
        """The same, a message each."""
        for place, call in enumerate(calls):
            if not self._send(state, call):
                state.put_back_all(calls[place:])
                return False
        return True

    def _send(self, state: FeedState, call: Call) -> bool:
        number = next(self._numbers)
        if not self._queue.put(number, state.number, call, state.assignment.sealing_key):
            return False
        self.in_flight.add(number, state, call)
        return True


# The calls in flight: in the queue, or with a worker.

#: How long a call may be with no worker before it counts as lost: a worker says within milliseconds what it has taken.
#: And at how many looks: where the pool comes to look but seldom, its workers may not have come to say so either.
_LOST_AFTER_S, _LOST_AFTER_LOOKS = 1.0, 10


class Sent(NamedTuple):
    """A call in flight, and the feed that it came from."""

    feed: FeedState
    call: Call


class InFlight:
    """Calls in flight, by number. A later call has a higher number, and the queue keeps their order."""

    def __init__(self) -> None:
        self._sent: dict[int, Sent] = {}
        self._latest_begun = -1
        #: Since when each has been with no worker, and at how many looks.
        self._suspects: dict[int, tuple[float, int]] = {}

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

    def close_all(self, numbers: range) -> list[Sent] | None:
        """These calls are no longer in flight; None, and nothing is done, where one of them has not been."""
        if any(number not in self._sent for number in numbers):
            return None
        sent = [self._sent.pop(number) for number in numbers]
        if sent:
            sent[0].feed.note_all_returned(numbers)
        return sent

    def suspect(self, performed: Collection[int]) -> None:
        """A worker has died: it may have taken any call that is not `performed` by another, before it could say so."""
        for number in self._sent.keys() - performed:
            self._suspects.setdefault(number, (math.inf, 0))

    def lost(self, performed: Collection[int], now: float, *, queue_empty: bool) -> list[int]:
        """The calls that died with a worker before it could say that it had taken them.

        There is nothing to see of such a call but that the queue has gone past it and no worker has begun it.
        """
        if not self._suspects:
            return []
        for number, (since, looks) in list(self._suspects.items()):
            if number not in self._sent or number in performed:
                del self._suspects[number]
            elif since < math.inf or queue_empty or number < self._latest_begun:
                self._suspects[number] = min(since, now), looks + 1
        return sorted(
            number
            for number, (since, looks) in self._suspects.items()
            if now - since > _LOST_AFTER_S and looks > _LOST_AFTER_LOOKS
        )


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
        #: So many of its calls may be one message.
        self.most_together = CHUNK_CALLS if self.assignment.calls_are_alike and not self.stays_open else 1
        self._in_flight = 0
        self._waiting: deque[Call] = deque()
        self._reports: list[Report] = []
        #: Results whose reports are made together: each with its call, and the MiB that the pool has seen.
        self._results: list[tuple[Call, Finished, float]] = []
        self._chunks: list[tuple[Sequence[Call], Results]] = []
        self._begun: dict[int, tuple[Call, float, HasPid]] = {}
        self._oldest = 0.0

    @property
    def assignment(self) -> Assignment:
        """What all its calls share."""
        return self.feed.assignment

    @property
    def has_reports(self) -> bool:
        """True while there is something to hand on."""
        return bool(self._reports or self._begun or self._results or self._chunks)

    @property
    def has_waiting(self) -> bool:
        """True while a call of it has been taken and is not in flight."""
        return bool(self._waiting)

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

    def note_all_returned(self, numbers: range) -> None:
        """The same of several."""
        self._in_flight -= len(numbers)
        for number in [begun for begun in self._begun if begun in numbers]:
            del self._begun[number]

    def next_call(self, *, counted: bool) -> Call | None:
        """The next call that may go out now; `counted`: no more of them than its limit may be in flight."""
        if self.cancelled or (counted and self.limit is not None and self._in_flight >= self.limit):
            return None
        return self._waiting.popleft() if self._waiting else self.feed.take()

    def next_calls(self, most: int) -> list[Call]:
        """The next calls, where all may go out that there are; at most so many."""
        take_many: Callable[[int], list[Call] | None] | None = getattr(self.feed, "take_many", None)
        if take_many is not None and not self._waiting and not self.cancelled:
            together = take_many(most)
            if together is not None:
                return together
        calls: list[Call] = []
        while len(calls) < most and (call := self.next_call(counted=False)) is not None:
            calls.append(call)
        return calls

    def is_obsolete(self, call: Call) -> bool:
        """Whether nobody needs what comes of a call any more: its run has a result by another."""
        return call[:2] in getattr(self.feed, "obsolete", ())

    def put_back(self, call: Call) -> None:
        """A call that was not performed goes out again, before any other."""
        self._waiting.appendleft(call)

    def put_back_all(self, calls: Sequence[Call]) -> None:
        """The same of several, in their order."""
        self._waiting.extendleft(reversed(calls))

    def report_result(self, call: Call, done: Finished, sampled_mib: float) -> None:
        """Note what a worker has answered of a call."""
        if reports.is_plain(done):
            if not self.has_reports:
                self._oldest = time.monotonic()
            self._results.append((call, done, sampled_mib))
        else:
            self.report_end(call, reports.finished(self.assignment.job_id, call, done, sampled_mib))

    def report_results(self, calls: Sequence[Call], results: Results) -> None:
        """Note what a worker has answered of calls that it had taken together."""
        if not self.has_reports:
            self._oldest = time.monotonic()
        self._chunks.append((calls, results))

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

    def hand_on(self, now: float) -> bool:
        """Give the feed its reports where it is time to: a full batch, an old one, or nothing more to wait for.

        Whether it was given any.
        """
        if not self.has_reports:
            return False
        come = len(self._reports) + len(self._results) + sum(len(calls) for calls, _ in self._chunks)
        if self._in_flight == 0 or come >= BATCH or now - self._oldest >= BATCH_S:
            job_id = self.assignment.job_id
            begun = [reports.started(job_id, call, at, worker.pid) for call, at, worker in self._begun.values()]
            batch = [*begun, *self._reports, *reports.plain_results(job_id, self._results)]
            for chunk in self._chunks:
                batch += reports.results_of_chunk(job_id, *chunk)
            self._begun, self._reports, self._results, self._chunks = {}, [], [], []
            self.feed.record(batch)
            return True
        return False

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
