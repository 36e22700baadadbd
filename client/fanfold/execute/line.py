"""The line that calls stand in: from their feeds into the queue, and back where no worker has begun them."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

from fanfold.execute import reports
from fanfold.execute.calls import Call, Feed
from fanfold.execute.outstanding import Outstanding
from fanfold.execute.queue import CallQueue
from fanfold.execute.serving import Serving


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
