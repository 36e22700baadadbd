"""The pool: worker processes, one queue that they share, and a loop that watches over them.

Whichever worker is free takes the next call, so a slow call holds up nobody. What a worker says and how it ends
becomes reports. The loop runs in one thread; other threads may only `wake` it.
"""

from __future__ import annotations

import itertools
import json
import os
import selectors
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from fanfold.execute import reports
from fanfold.execute.calls import Assignment, Call, Feed
from fanfold.execute.process import WorkerProcess
from fanfold.execute.queue import CallQueue
from fanfold.execute.serving import BATCH_S, Serving
from fanfold.execute.watch import Watch
from fanfold.models import RunStatus, Usage

#: Calls waiting in the queue for each worker: enough that none ever waits for the pool.
_QUEUED_PER_WORKER = 8
#: How long a call may be with nobody before it is sent again, after a worker died without a word.
_LOST_AFTER_S = 1.0


class _Sent(NamedTuple):
    serving: Serving
    call: Call


class Pool:
    """Up to `size` worker processes that serve any number of feeds, one call at a time each.

    `folder` is for what passes between the processes; `environment` what the workers see (None: as here).
    """

    def __init__(self, size: int, folder: Path, *, environment: dict[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._size = size
        self._folder = folder
        self._environment = environment
        self._queue = CallQueue(folder)
        self._workers: dict[int, WorkerProcess] = {}
        self._servings: list[Serving] = []
        self._sent: dict[int, _Sent] = {}
        self._numbers = itertools.count()
        self._watch = Watch()
        self._silent_death_at: float | None = None
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wake, False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._woken, selectors.EVENT_READ)

    def serve(self, feed: Feed) -> None:
        """Run everything that `feed` gives, here and now, until nothing of it is out."""
        self.add(feed)
        while self.serves(feed):
            self.step()

    def add(self, feed: Feed) -> None:
        """Serve `feed` from the next step on."""
        serving = Serving(feed, next(self._numbers), self._folder)
        serving.assignment_file.write_text(json.dumps(_for_workers(feed.assignment)), encoding="utf-8")
        self._servings.append(serving)

    def serves(self, feed: Feed) -> bool:
        """True while the feed has anything out or left to give."""
        return any(serving.feed is feed for serving in self._servings)

    @property
    def busy(self) -> bool:
        """True while any feed is being served."""
        return bool(self._servings)

    def cancel(self, feed: Feed) -> None:
        """Take back the feed's waiting calls and end its running ones; each is reported as cancelled."""
        for serving in self._servings:
            serving.cancelled |= serving.feed is feed
        for number in self._queue.drain():
            self._give_back(number)
        for worker, sent in self._running():
            if sent.serving.feed is feed:
                worker.end(RunStatus.CANCELLED)

    def wake(self) -> None:
        """Have `step` look again at once. Safe from any thread."""
        with suppress(BlockingIOError):
            os.write(self._wake, b"x")

    def step(self) -> None:
        """One turn of the loop: hand out calls, hear the workers, watch them, hand reports on."""
        self._fill()
        for key, _ in self._selector.select(self._patience_s()):
            if key.fd == self._woken:
                os.read(self._woken, 4096)
            else:
                self._hear(self._workers[key.fd])
        now = time.monotonic()
        if self._watch.due(now):
            for worker, sent in self._running():
                self._watch.look(worker, sent.serving, sent.call, now)
            self._find_lost_calls(now)
        self._fill()  # before handing on: whether anything is out decides whether there is more to wait for
        self._hand_on(now)

    def close(self) -> None:
        """End all workers at once, and whatever they started."""
        for worker in self._workers.values():
            worker.kill()
            worker.reap()
            worker.close()
        self._workers.clear()
        self._queue.close()
        self._selector.close()
        os.close(self._wake)
        os.close(self._woken)

    def _fill(self) -> None:
        """Keep the queue filled, a call of each feed in turn."""
        room = self._size * _QUEUED_PER_WORKER - len(self._sent)
        giving = list(self._servings)
        while room > 0 and giving:
            for serving in giving[:]:
                call = serving.next_call()
                if call is None:
                    giving.remove(serving)
                elif self._send(serving, call):
                    room -= 1
                else:
                    serving.put_back(call)
                    return

    def _send(self, serving: Serving, call: Call) -> bool:
        number = next(self._numbers)
        if not self._queue.put(number, call.index, serving.number, call.arguments.encode()):
            return False
        self._sent[number] = _Sent(serving, call)
        serving.out += 1
        self._man_the_queue()
        return True

    def _man_the_queue(self) -> None:
        """As many workers as there are calls out, up to the pool's size."""
        while len(self._workers) < min(self._size, len(self._sent)):
            worker = WorkerProcess(self._folder / f"w{next(self._numbers)}", self._queue.exit, self._environment)
            self._workers[worker.replies] = worker
            self._selector.register(worker.replies, selectors.EVENT_READ)

    def _give_back(self, number: int) -> None:
        """A call that no worker has begun goes out again, or is over where its feed was cancelled."""
        serving, call = self._close_out(number)
        if serving.cancelled:
            serving.report(reports.cancelled(serving.assignment.job_id, call))
        else:
            serving.put_back(call)

    def _close_out(self, number: int) -> tuple[Serving, Call]:
        serving, call = self._sent.pop(number)
        serving.out -= 1
        serving.forget_start(number)
        return serving, call

    def _hear(self, worker: WorkerProcess) -> None:
        try:
            while (message := worker.read()) is not None:
                answers, body = message
                for answer in answers:
                    self._note_started(worker, answer) if "started" in answer else self._note(worker, answer, body)
        except EOFError:
            self._bury(worker)

    def _note_started(self, worker: WorkerProcess, answer: dict[str, Any]) -> None:
        sent = self._sent[answer["started"]]
        worker.begin(answer["started"], log_number=answer["log"], now=time.monotonic())
        sent.serving.report_start(answer["started"], sent.call, answer["at"], worker.pid)
        if sent.serving.cancelled:  # it was taken from the queue just before the queue was drained
            worker.end(RunStatus.CANCELLED)

    def _note(self, worker: WorkerProcess, answer: dict[str, Any], body: bytes) -> None:
        serving, call = self._close_out(answer["finished"])
        if answer["printed"] is not None:
            worker.report_log(serving, call, last=True)
        job_id = serving.assignment.job_id
        serving.report(reports.finished(job_id, call, answer, body, worker.peak_memory_mib))
        worker.rest(stained=answer["stained"])

    def _bury(self, worker: WorkerProcess) -> None:
        """A worker has ended: say what became of its call, and let another take its place."""
        self._selector.unregister(worker.replies)
        del self._workers[worker.replies]
        code = worker.reap()
        if worker.running is None:
            self._silent_death_at = time.monotonic()
        elif worker.innocent:
            self._give_back(worker.running)
        else:
            self._report_end(worker, worker.running, code)
        worker.close()
        self._man_the_queue()

    def _report_end(self, worker: WorkerProcess, number: int, code: int) -> None:
        serving, call = self._close_out(number)
        worker.report_log(serving, call, last=True)
        (self._folder / f"{number}.result").unlink(missing_ok=True)
        ending = reports.Ending(worker.ended_for, code, worker.stack())
        serving.report(reports.ended(serving.assignment, call, Usage(*worker.used()), ending))

    def _running(self) -> Iterator[tuple[WorkerProcess, _Sent]]:
        for worker in list(self._workers.values()):
            if worker.running is not None and worker.ended_for is None:
                yield worker, self._sent[worker.running]

    def _find_lost_calls(self, now: float) -> None:
        """Send again what a worker took from the queue and died with before it could say so.

        There is nothing to see of such a call, so wait until all that live are idle and the queue has been empty
        for a while: what is still out then is with nobody.
        """
        if self._silent_death_at is None:
            return
        if not self._sent or any(worker.running is not None for worker in self._workers.values()):
            self._silent_death_at = now if self._sent else None
        elif not self._queue.empty:
            self._silent_death_at = now
        elif now - self._silent_death_at > _LOST_AFTER_S:
            self._silent_death_at = None
            for number in list(self._sent):
                self._give_back(number)

    def _hand_on(self, now: float) -> None:
        for serving in self._servings[:]:
            serving.hand_on(now)
            if serving.over:
                self._servings.remove(serving)
                serving.assignment_file.unlink(missing_ok=True)

    def _patience_s(self) -> float | None:
        """How long the loop may sleep; for ever where nothing is served, for `wake` ends it."""
        if not self._servings:
            return None
        if any(serving.has_reports for serving in self._servings):
            return BATCH_S
        return Watch.INTERVAL_S


def _for_workers(assignment: Assignment) -> dict[str, str]:
    return {
        "job_id": assignment.job_id,
        "bundle": str(assignment.bundle),
        "blobs": str(assignment.blobs),
        "serializer": assignment.serializer,
    }
