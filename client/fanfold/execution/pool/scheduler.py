"""The line that calls stand in: from their feeds into the queue, and back where no worker has begun them."""

from __future__ import annotations

import itertools
import json
import math
import time
from collections import deque
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from fanfold.execution import calls as reports
from fanfold.execution.calls import Assignment, Call, Feed, Report
from fanfold.execution.channel import CallQueue


class Line:
    """The feeds that are served, a call of each in turn; `length` calls are out at most."""

    def __init__(self, queue: CallQueue, folder: Path, length: int) -> None:
        self.servings: list[Serving] = []
        self.sent = Outstanding()
        self._queue = queue
        self._folder = folder
        self._length = length
        self._numbers = itertools.count()

    def add(self, feed: Feed) -> None:
        """Let another feed have its turns: what waits in the queue lines up anew."""
        self.take_back()
        serving = Serving(feed, next(self._numbers), self._folder)
        serving.assignment_file.write_text(json.dumps(feed.assignment.for_workers()), encoding="utf-8")
        self.servings.append(serving)

    def serves(self, feed: Feed) -> bool:
        """True while the feed has anything out or left to give."""
        return any(serving.feed is feed for serving in self.servings)

    def cancel(self, feed: Feed) -> None:
        """Take the feed's waiting calls back and give out no other."""
        for serving in self.servings:
            serving.cancelled |= serving.feed is feed
        self.take_back()

    def fill(self) -> None:
        """Keep the queue filled, a call of each feed in turn."""
        room = self._length - len(self.sent)
        giving = list(self.servings)
        while room > 0 and giving:
            for serving in giving[:]:
                call = serving.next_call()
                if call is None:
                    giving.remove(serving)
                elif self._send(serving, call):
                    room -= 1
                else:
                    serving.put_back(call)
                    giving.clear()
                    break

    def take_back(self) -> None:
        """Empty the queue; what was in it goes out again."""
        for number in reversed(list(self._queue.drain())):  # each goes to the front of its feed's line
            self.give_back(number)

    def give_back(self, number: int) -> None:
        """A call that no worker has begun goes out again, or is over where its feed was cancelled."""
        sent = self.sent.close(number)
        if sent is None:
            return
        self.remove_result(number)
        if sent.serving.cancelled:
            sent.serving.report(reports.cancelled(sent.serving.assignment.job_id, sent.call))
        else:
            sent.serving.put_back(sent.call)

    def send_lost_again(self, held: set[int], now: float) -> None:
        """Calls that died with a worker before it could say that it had taken them go out again."""
        for number in reversed(self.sent.lost(held, now, queue_empty=self._queue.empty)):
            self.give_back(number)

    def hand_on(self, now: float) -> None:
        """Hand on to the feeds what has come of their calls, and let go of those that are over."""
        for serving in self.servings[:]:
            serving.hand_on(now)
            if serving.over:
                self.servings.remove(serving)
                serving.assignment_file.unlink(missing_ok=True)

    def remove_result(self, number: int) -> None:
        """Remove what a worker that has ended may have written of the call's result."""
        (self._folder / f"{number}.result").unlink(missing_ok=True)

    def _send(self, serving: Serving, call: Call) -> bool:
        number = self.sent.next_number()
        if not self._queue.put(number, serving.number, call.arguments.encode()):
            return False
        self.sent.add(number, serving, call)
        return True


# The calls that are out: in the queue, or with a worker.

#: How long a call may be with nobody before it counts as lost: a worker says within milliseconds what it has taken.
_LOST_AFTER_S = 1.0


class Sent(NamedTuple):
    """A call that is out, and the book it stands in."""

    serving: Serving
    call: Call


class Outstanding:
    """Calls that are out, by number. A later call has a higher number, and the queue keeps their order."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._sent: dict[int, Sent] = {}
        self._latest_begun = -1
        self._suspects: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._sent)

    def __getitem__(self, number: int) -> Sent:
        return self._sent[number]

    def next_number(self) -> int:
        """A number for the next call to be sent."""
        return next(self._numbers)

    def add(self, number: int, serving: Serving, call: Call) -> None:
        """Note that a call is out."""
        self._sent[number] = Sent(serving, call)
        serving.out += 1

    def begin(self, number: int) -> Sent | None:
        """A worker has begun the call; None where it is no longer expected of anybody."""
        self._latest_begun = max(self._latest_begun, number)
        return self._sent.get(number)

    def close(self, number: int) -> Sent | None:
        """The call is no longer out; None where it has not been."""
        sent = self._sent.pop(number, None)
        if sent is not None:
            sent.serving.out -= 1
            sent.serving.forget_start(number)
        return sent

    def suspect(self, held: Collection[int]) -> None:
        """A worker has died: it may have taken any call that is not `held` by another, and not lived to say so."""
        for number in self._sent.keys() - held:
            self._suspects.setdefault(number, math.inf)

    def lost(self, held: Collection[int], now: float, *, queue_empty: bool) -> list[int]:
        """The calls that died with a worker before it could say that it had taken them.

        There is nothing to see of such a call but that the queue has gone past it and no worker has begun it.
        """
        if not self._suspects:
            return []
        self._suspects = {
            number: min(since, now if queue_empty or number < self._latest_begun else math.inf)
            for number, since in self._suspects.items()
            if number in self._sent and number not in held
        }
        return sorted(number for number, since in self._suspects.items() if now - since > _LOST_AFTER_S)


# A feed while a pool serves it: what is out, what waits, what is still to be handed on.

#: Reports are handed on when this many have come or the first has waited this long: one commit, one batch write.
BATCH = 200
BATCH_S = 0.02


class Serving:
    """The pool's book on one feed."""

    def __init__(self, feed: Feed, number: int, folder: Path) -> None:
        self.feed = feed
        #: What workers know the assignment by.
        self.number = number
        self.assignment_file = folder / f"assignment-{number}.json"
        #: Calls that are queued or running.
        self.out = 0
        self.cancelled = False
        self._waiting: deque[Call] = deque()
        self._reports: list[Report] = []
        self._begun: dict[int, tuple[Call, float, int]] = {}
        self._oldest = 0.0

    @property
    def assignment(self) -> Assignment:
        """What all its calls share."""
        return self.feed.assignment

    @property
    def has_reports(self) -> bool:
        """True while there is something to hand on."""
        return bool(self._reports or self._begun)

    def next_call(self) -> Call | None:
        """The next call that may go out now."""
        limit = self.assignment.max_concurrency
        if self.cancelled or (limit is not None and self.out >= limit):
            return None
        return self._waiting.popleft() if self._waiting else self.feed.take()

    def put_back(self, call: Call) -> None:
        """A call that was not performed goes out again, before any other."""
        self._waiting.appendleft(call)

    def report(self, report: Report) -> None:
        """Note what happened; it is handed on with others."""
        if not self.has_reports:
            self._oldest = time.monotonic()
        self._reports.append(report)

    def report_start(self, number: int, call: Call, at: float, pid: int) -> None:
        """Note that a call has begun. Only told of a call that is still running when reports are handed on."""
        if not self.has_reports:
            self._oldest = time.monotonic()
        self._begun[number] = call, at, pid

    def forget_start(self, number: int) -> None:
        """A call has ended: that tells when it began, too."""
        self._begun.pop(number, None)

    def hand_on(self, now: float) -> None:
        """Give the feed its reports where it is time to: a full batch, an old one, or nothing more to wait for."""
        if not self.has_reports:
            return
        if self.out == 0 or len(self._reports) >= BATCH or now - self._oldest >= BATCH_S:
            job_id = self.assignment.job_id
            batch = [*(reports.started(job_id, *begun) for begun in self._begun.values()), *self._reports]
            self._begun, self._reports = {}, []
            self.feed.record(batch)

    @property
    def over(self) -> bool:
        """True where nothing is out, nothing to hand on, and the feed has nothing more to give."""
        if self.out or self.has_reports:
            return False
        if self.cancelled:
            return True
        if not self._waiting and (call := self.feed.take()) is not None:
            self._waiting.append(call)
        return not self._waiting


# How many workers a backlog is worth: starting one takes a core as long as a thousand no-op calls take another.

#: What starting a worker takes of a core: an interpreter and what a worker imports.
_START_S = 0.05
#: The last call weighs this much in what the next is expected to take.
_NEWS = 0.2
#: A call that is running may be loading its UDF still for so long.
_LOAD_S = 0.02


class Growth:
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
