"""The pool: worker processes, one queue that they share, and a loop that watches over them.

Whichever worker is free takes the next call, so a slow call holds up nobody. What a worker says and how it ends
becomes reports. The loop runs in one thread; other threads may only `wake` it.
"""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from fanfold.core.models import RunStatus, Usage
from fanfold.execution import calls as reports
from fanfold.execution.calls import Feed
from fanfold.execution.channel import CallQueue, Finished, Started
from fanfold.execution.pool.limits import Watch
from fanfold.execution.pool.process import WorkerProcess
from fanfold.execution.pool.scheduler import BATCH_S, Growth, Line, Sent
from fanfold.execution.pool.worker_set import Crew

#: Calls waiting in the queue for each worker: enough no-op calls for the time that the pool takes to come round.
_QUEUED_PER_WORKER = 100
#: With this many waiting the pool may rest a moment, in which some 20 no-op calls end: hearing each of them at once
#: would take the workers' cores from them ten times as often.
_PLENTY_PER_WORKER = 16
_REST_S = 0.001


class Pool:
    """Up to `size` worker processes that serve any number of feeds, one call at a time each.

    `folder` is for what passes between the processes; `environment` what the workers see (None: as here).
    """

    def __init__(self, size: int, folder: Path, *, environment: dict[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._size = size
        self._queue = CallQueue(folder)
        self._line = Line(self._queue, folder, size * _QUEUED_PER_WORKER)
        self._sent = self._line.sent
        self._selector = selectors.DefaultSelector()
        self._crew = Crew(folder, self._queue.exit, environment, self._selector)
        self._growth = Growth()
        self._watch = Watch()
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wake, False)
        self._selector.register(self._woken, selectors.EVENT_READ)

    def get_ready(self) -> None:
        """Start a worker, for calls that are about to come. Before the first step only: it is of the loop's thread."""
        self._crew.grow_to(1)

    def serve(self, feed: Feed) -> None:
        """Run everything that `feed` gives, here and now, until nothing of it is out."""
        self.add(feed)
        while self.serves(feed):
            self.step()

    def add(self, feed: Feed) -> None:
        """Serve `feed` from the next step on, in turn with the others: what waits in the queue lines up anew."""
        if not self._sent:
            self._crew.follow_surroundings()
        self._line.add(feed)

    def serves(self, feed: Feed) -> bool:
        """True while the feed has anything out or left to give."""
        return self._line.serves(feed)

    def cancel(self, feed: Feed) -> None:
        """Take back the feed's waiting calls and end its running ones; each is reported as cancelled."""
        self._line.cancel(feed)
        for worker, sent in self._running():
            if sent.serving.feed is feed:
                worker.end(RunStatus.CANCELLED)

    def wake(self) -> None:
        """Have `step` look again at once. Safe from any thread, also when the pool is closed."""
        with suppress(OSError):
            os.write(self._wake, b"x")

    def step(self) -> None:
        """One turn of the loop: hand out calls, hear the workers, watch them, hand reports on."""
        self._line.fill()
        self._man_the_queue()
        if len(self._sent) >= self._size * _PLENTY_PER_WORKER:
            time.sleep(_REST_S)
        for key, _ in self._selector.select(self._patience_s()):
            if key.fd == self._woken:
                os.read(self._woken, 4096)
            else:
                self._hear(self._crew[key.fd])
        now = time.monotonic()
        if self._watch.due(now):
            for worker, sent in self._running():
                self._watch.look(worker, sent.serving, sent.call, now)
            self._bury_silent()
            self._line.send_lost_again(self._crew.held(), now)
        self._line.fill()  # before handing on: whether anything is out decides whether there is more to wait for
        self._man_the_queue()
        self._line.hand_on(now)

    def close(self) -> None:
        """End all workers at once, and whatever they started. Again is harmless."""
        if self._wake < 0:
            return
        self._crew.dismiss()
        self._queue.close()
        self._selector.close()
        wake, self._wake = self._wake, -1
        os.close(wake)
        os.close(self._woken)

    def _man_the_queue(self) -> None:
        """As many workers as what waits is worth, but no more than there are calls out, nor than the pool's size."""
        most = min(self._size, len(self._sent))
        if len(self._crew) < most:
            ready, busy, running_s = self._crew.at_work(time.monotonic())
            self._crew.grow_to(min(most, self._growth.worth(ready, len(self._sent) - busy, running_s)))

    def _hear(self, worker: WorkerProcess) -> None:
        try:
            for answer in worker.read():
                if isinstance(answer, Started):
                    self._note_started(worker, answer)
                else:
                    self._note_finished(worker, answer)
        except EOFError:
            self._bury(worker)

    def _note_started(self, worker: WorkerProcess, answer: Started) -> None:
        sent = self._sent.begin(answer.call)
        if sent is None:  # it was so slow to say so that the call counted as lost
            worker.discard()
            return
        worker.begin(answer.call, log_number=answer.log, now=time.monotonic())
        sent.serving.report_start(answer.call, sent.call, answer.at, worker.pid)
        if sent.serving.cancelled:  # it was taken from the queue just before the queue was drained
            worker.end(RunStatus.CANCELLED)

    def _note_finished(self, worker: WorkerProcess, answer: Finished) -> None:
        if worker.ended_for not in (None, RunStatus.CANCELLED):  # it was past its limit: the signal made it hurry
            self._report_end(worker, answer.call, 0)
            worker.rest(stained=False)
            return
        sent = self._sent.close(answer.call)
        if sent is None:
            return
        serving, call = sent
        self._growth.note(answer.duration_s)
        if answer.printed is not None:
            worker.report_log(serving, call, last=True)
        serving.report(reports.finished(serving.assignment.job_id, call, answer, worker.peak_memory_mib))
        worker.rest(stained=answer.stained)

    def _bury(self, worker: WorkerProcess) -> None:
        """A worker has ended: say what became of its call, and let another take its place."""
        code = self._crew.remove(worker)
        if worker.running is not None and worker.innocent:
            self._line.give_back(worker.running)
        elif worker.running is not None:
            self._report_end(worker, worker.running, code)
        worker.close()
        self._sent.suspect(self._crew.held())
        self._man_the_queue()

    def _bury_silent(self) -> None:
        """A process that a worker has forked may hold the worker's end of the line: then its end is not heard."""
        for worker in self._crew:
            if worker.has_ended:
                self._hear(worker)
                if worker in self._crew:
                    self._bury(worker)

    def _report_end(self, worker: WorkerProcess, number: int, code: int) -> None:
        sent = self._sent.close(number)
        if sent is None:
            return
        serving, call = sent
        worker.report_log(serving, call, last=True)
        self._line.remove_result(number)
        ending = reports.Ending(worker.ended_for, code, worker.stack())
        serving.report(reports.ended(serving.assignment, call, Usage(*worker.used()), ending))

    def _running(self) -> Iterator[tuple[WorkerProcess, Sent]]:
        for worker in self._crew:
            if worker.running is not None and worker.ended_for is None:
                yield worker, self._sent[worker.running]

    def _patience_s(self) -> float | None:
        """How long the loop may sleep; for ever where nothing is served, for `wake` ends it."""
        if not self._line.servings:
            return None
        if len(self._crew) < min(self._size, len(self._sent)):  # another worker may soon be worth its start
            return self._growth.look_again_s(len(self._sent))
        if any(serving.has_reports for serving in self._line.servings):
            return BATCH_S
        return Watch.INTERVAL_S
