"""The pool: worker processes, and a loop that watches over them.

Each bundle has workers of its own (`WorkerSet`), of which whichever is free takes the next call. What a worker says and
how it ends becomes reports. The loop runs in one thread; other threads may only `wake` it.
"""

from __future__ import annotations

import itertools
import math
import os
import selectors
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from fanfold.core.models import RunStatus, Usage
from fanfold.core.processes import usable_cores
from fanfold.errors import ConfigurationError
from fanfold.execution import calls as reports
from fanfold.execution.calls import Assignment, Feed, Interpreter
from fanfold.execution.channel import EXIT_PIPES_CLOSED, Asked, CallQueue, Finished, Results, Started
from fanfold.execution.pool.process import LimitWatch, WorkerProcess
from fanfold.execution.pool.scheduler import BATCH_S, Autoscaler, Scheduler, Sent, shares
from fanfold.execution.pool.spawn import Spawner, interpreter_of, spawner, surroundings
from fanfold.settings import Logger

# Each worker has its share of the cores for the threads of BLAS and OpenMP.


_log = Logger(__name__)


def thread_share(assignment: Assignment, size: int) -> int:
    """How many threads a library may start in each worker of a job, in a pool of `size`."""
    if assignment.threads is not None:
        return assignment.threads
    side_by_side = min(size, assignment.max_concurrency or size)
    return max(1, usable_cores() // side_by_side)


# The workers of one bundle, and the calls that they share.

#: So many workers in a row that end before their first word: the interpreter cannot run here.
_STILLBORN_WORKERS = 16


class WorkerSet:
    """One bundle's workers: whichever is free takes the next call, so a slow call holds up none but its worker.

    No worker is of two sets, and so none performs the runs of two bundles: what one run leaves in the interpreter can
    reach runs of its own bundle only. Workers are registered with the pool's selector, their set with them.
    """

    def __init__(
        self, folder: Path, numbers: Iterator[int], selector: selectors.BaseSelector, interpreter: Interpreter
    ) -> None:
        self.interpreter = interpreter
        self._folder = folder
        self._numbers = numbers
        self._selector = selector
        self.queue = CallQueue(folder)
        self.scheduler = Scheduler(self.queue, folder, numbers)
        self.autoscaler = Autoscaler()
        self._workers: dict[int, WorkerProcess] = {}
        self._retiring = 0
        self._stillborn = 0
        self.used_at = 0.0
        #: Since when it has had workers, or waits for its first (time.monotonic seconds).
        self.turn_since = time.monotonic()
        self.has_had_turn = False

    def __len__(self) -> int:
        return len(self._workers)

    def __iter__(self) -> Iterator[WorkerProcess]:
        return iter(list(self._workers.values()))

    def __getitem__(self, replies: int) -> WorkerProcess:
        return self._workers[replies]

    def __contains__(self, worker: WorkerProcess) -> bool:
        return self._workers.get(worker.replies) is worker

    @property
    def is_active(self) -> bool:
        """True while it serves any feed."""
        return bool(self.scheduler.feeds)

    @property
    def staying(self) -> int:
        """How many workers it has that have not been asked to end."""
        return len(self._workers) - self._retiring

    def add(self, feed: Feed, *, threads: int) -> None:
        """Serve another feed of this bundle; libraries may start that many `threads` in each worker."""
        if not self.is_active:
            self.turn_since, self.has_had_turn = time.monotonic(), bool(self._workers)
        self.scheduler.add(feed, threads=threads)
        self._retiring = 0  # those that were to end have not read so yet: it was in the queue

    def wanted(self, size: int, now: float) -> int:
        """As many workers as what waits is worth, but no more than there are calls, nor than the feeds allow."""
        most = min(size, len(self.scheduler.in_flight), self._allowed(size))
        if self.staying >= most:
            return most
        ready, busy, running_s = self._at_work(now)
        return min(most, self.autoscaler.worth(ready, len(self.scheduler.in_flight) - busy, running_s))

    def start(self, spawner: Spawner) -> None:
        """Start another worker."""
        if not self._workers:
            self.turn_since, self.has_had_turn = time.monotonic(), True
        self.used_at = time.monotonic()
        worker = WorkerProcess(self._folder / f"w{next(self._numbers)}", self.queue.exit, spawner)
        self._workers[worker.replies] = worker
        self._selector.register(worker.replies, selectors.EVENT_READ, self)
        _log.debug("a worker starts in %s", worker.folder)

    def retire_one(self) -> None:
        """Have one worker end itself as soon as it is free."""
        self.scheduler.take_back()
        if self.queue.put_retirement():
            self._retiring += 1
        if self.staying == 0:
            self.turn_since = time.monotonic()

    def performed(self) -> set[int]:
        """The calls that workers have, by number."""
        return set().union(*(worker.held for worker in self._workers.values()))

    def remove(self, worker: WorkerProcess) -> int:
        """A worker has ended, or is to: its return code. Raises `ConfigurationError` where none lives to say a word."""
        self._selector.unregister(worker.replies)
        del self._workers[worker.replies]
        code = worker.reap()
        _log.debug("the worker in %s has ended with code %d, its call: %s", worker.folder, code, worker.running)
        if code == 0 and worker.running is None and self._retiring:
            self._retiring -= 1
            return code
        self._stillborn = 0 if worker.has_spoken else self._stillborn + 1
        if self._stillborn >= _STILLBORN_WORKERS:
            worker.close()
            raise cannot_start(code)
        return code

    def dismiss(self) -> None:
        """End all workers at once, and whatever they started."""
        for worker in self:
            worker.kill()
        for worker in self:
            self._selector.unregister(worker.replies)
            worker.reap()
            worker.close()
        self._workers.clear()
        self._retiring = 0

    def close(self) -> None:
        """End everything of it."""
        self.dismiss()
        self.queue.close()

    def _allowed(self, size: int) -> int:
        limits = [size if state.limit is None else state.limit for state in self.scheduler.feeds]
        return sum(limits)

    def _at_work(self, now: float) -> tuple[int, int, float]:
        """How many workers are up, how many perform a call, and for how long the longest of these has run by now."""
        workers = self._workers.values()
        since = [worker.since for worker in workers if worker.running is not None]
        return sum(worker.has_spoken for worker in workers), len(since), now - min(since, default=now)


def cannot_start(code: int) -> ConfigurationError:
    """Workers end before they can say a word."""
    return ConfigurationError(
        f"Worker processes end as soon as they start (the last with exit code {code}).",
        next_step="stderr says why; so does `python -c 'import fanfold.execution.worker.worker'`.",
    )


#: Calls waiting in the queue for each worker: enough no-op calls for the time that the pool takes to come round.
_QUEUED_PER_WORKER = 100
#: With this many waiting the pool may rest a moment, in which some 20 no-op calls end: reading the end of each at once
#: would take the workers' cores from them ten times as often. Where more than this many have ended in its last turn, it
#: is the pool that is behind.
_PLENTY_PER_WORKER = 16
_REST_S = 0.001
#: Calls that a worker has taken together are over by then, or one of them is no short one.
_OVER_BY_S = 0.05
#: So many spawners in a row that end before a worker of theirs has said a word: the interpreter cannot run here.
_STILLBORN = 3
#: So many interpreters are kept ready: those that no workers come from any more make room.
_KEPT_SPAWNERS = 4


class Pool:
    """Up to `size` worker processes at work, that serve any number of feeds, one call at a time each.

    `folder` is for what passes between the processes; `environment` what the workers see (None: as here).
    `idle` workers more may wait for their bundle to come again.
    """

    def __init__(self, size: int, folder: Path, *, environment: Mapping[str, str] | None = None, idle: int = 0) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._size = size
        self._idle = idle
        self._folder = folder
        self._environment = None if environment is None else dict(environment)
        self._selector = selectors.DefaultSelector()
        self._numbers = itertools.count()
        self.worker_sets: dict[object, WorkerSet] = {}
        self._started_from = surroundings()
        self._spawners: dict[Interpreter, Spawner] = {}
        self._stillborn = 0
        #: How many calls have ended in this turn of the loop.
        self._ended = 0
        #: Whether nothing has come of the last turn that would be handed out now.
        self._is_filled = False
        self._watch = LimitWatch()
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wake, False)
        self._selector.register(self._woken, selectors.EVENT_READ)

    def get_ready(self) -> None:
        """Prepare for calls that are about to come. Before the first step only: it is of the loop's thread."""
        self._ready_spawner(Interpreter())

    def expect(self, preloaded: tuple[str, ...], most: int | None) -> None:
        """Import these packages where workers are forked from, at `most` so many at once, for a feed that is to come.

        For the loop's thread.
        """
        workers = min(self._size, most or self._size)
        if sys.platform == "linux" and workers > 1:
            if not self._active():
                self._follow_environment()
            self._ready_spawner(Interpreter(preloaded=preloaded, threads=max(1, usable_cores() // workers)))

    def serve(self, feed: Feed) -> None:
        """Run everything that `feed` gives, here and now, until nothing of it is in flight."""
        self.add(feed)
        while self.serves(feed):
            self.step()

    def add(self, feed: Feed) -> None:
        """Serve `feed` from the next step on, in turn with the others."""
        if not self._active():
            self._follow_environment()
        threads = thread_share(feed.assignment, self._size)
        key = (*feed.assignment.workers, threads)  # a library that is loaded keeps to the number that it has read
        if key not in self.worker_sets:
            self._make_room(0)
            workers = min(self._size, feed.assignment.max_concurrency or self._size)
            interpreter = interpreter_of(feed.assignment, workers=workers, threads=threads)
            self.worker_sets[key] = WorkerSet(self._folder, self._numbers, self._selector, interpreter)
        self.worker_sets[key].add(feed, threads=threads)
        self._fill()  # now: what others have in their queues might be over before the next step

    def serves(self, feed: Feed) -> bool:
        """True while the feed has anything in flight or left to give."""
        return any(each.scheduler.serves(feed) for each in self.worker_sets.values())

    def cancel(self, feed: Feed) -> None:
        """Take back the feed's waiting calls and end its running ones; each is reported as cancelled."""
        self._is_filled = False
        for each in self.worker_sets.values():
            each.scheduler.cancel(feed)
        self._single_out_all()
        for _, worker, sent in self._running():
            if sent.feed.feed is feed:
                worker.end(RunStatus.CANCELLED)

    def where(self, index: int) -> str | None:
        """The stack of the worker that performs this run, the user's own code; None where none does. The run goes on.

        For the thread that steps the pool: it may take a third of a second.
        """
        self._single_out_all()
        for _, worker, sent in self._running():
            if sent.call.index == index:
                return worker.where()
        return None

    def wake(self) -> None:
        """Have `step` look again at once. Safe from any thread, also when the pool is closed."""
        with suppress(OSError):
            os.write(self._wake, b"x")

    def step(self) -> None:
        """One turn of the loop: hand out calls, read what workers say, watch them, hand reports on."""
        if not self._is_filled:
            self._fill()
        plenty = self._size * _PLENTY_PER_WORKER
        if self._in_flight() >= plenty > self._ended:
            time.sleep(_REST_S)
        self._ended = 0
        for key, _ in self._selector.select(self._patience_s()):
            self._on_message(key)
        now = time.monotonic()
        if self._watch.due(now):
            self._look_after(now)
        self._fill()  # before handing on: whether anything is in flight decides whether there is more to wait for
        self._is_filled = not sum(each.scheduler.hand_on(now) for each in self.worker_sets.values())

    def close(self) -> None:
        """End all workers at once, and whatever they started. Again is harmless."""
        if self._wake < 0:
            return
        self._dismiss()
        self._selector.close()
        wake, self._wake = self._wake, -1
        os.close(wake)
        os.close(self._woken)

    # Calls and places

    def _active(self) -> list[WorkerSet]:
        return [each for each in self.worker_sets.values() if each.is_active]

    def _in_flight(self) -> int:
        return sum(len(each.scheduler.in_flight) for each in self.worker_sets.values())

    def _fill(self) -> None:
        """Keep the queues filled, and as many workers at them as they have their turn for."""
        active = self._active()
        for each in active:
            each.scheduler.fill(self._size * _QUEUED_PER_WORKER, len(each), each.autoscaler.together)
        if not active:
            return
        now = time.monotonic()
        places = shares(active, self._size, now)
        for each, share in places.items():
            while each.staying > share and sum(places.values()) > sum(min(len(s), places[s]) for s in active):
                each.retire_one()
        for each, share in places.items():
            while len(each) < share and self._make_room(1, keep=each):
                each.start(self._ready_spawner(each.interpreter))

    def _make_room(self, places: int, *, keep: WorkerSet | None = None) -> bool:
        """Whether that many workers more may be started; idle sets, those used longest ago first, make room."""
        if sum(len(each) for each in self._active()) + places > self._size:
            return False
        idle = sorted(
            (each for each in self.worker_sets.values() if not each.is_active and each is not keep), key=_used_at
        )
        while idle and sum(len(each) for each in self.worker_sets.values()) + places > self._size + self._idle:
            self._remove(idle.pop(0))
        while len(idle) > self._size + self._idle:  # sets without workers are no more than a pipe each
            self._remove(idle.pop(0))
        return True

    def _remove(self, gone: WorkerSet) -> None:
        self.worker_sets = {key: each for key, each in self.worker_sets.items() if each is not gone}
        gone.close()

    def _patience_s(self) -> float | None:
        """How long the loop may sleep; for ever where nothing is served, for `wake` ends it."""
        active = self._active()
        if all(state.at_rest for each in active for state in each.scheduler.feeds):
            return None
        patience_s = LimitWatch.INTERVAL_S
        at_work = sum(map(len, active))
        for each in active:
            waiting = len(each.scheduler.in_flight)
            if len(each) < min(self._size, waiting) and at_work < self._size:  # another may soon be worth its start
                patience_s = min(patience_s, each.autoscaler.look_again_s(waiting))
            if any(state.has_reports for state in each.scheduler.feeds):
                patience_s = min(patience_s, BATCH_S)
            for state in each.scheduler.feeds:
                if (next_in_s := state.next_in_s) is not None:
                    patience_s = min(patience_s, next_in_s)
        return patience_s

    # What workers say

    def _on_message(self, key: selectors.SelectorKey) -> None:
        if key.fd == self._woken:
            os.read(self._woken, 4096)
        elif isinstance(key.data, WorkerSet):
            self._on_answers(key.data, key.data[key.fd])
        elif key.data in self._spawners and self._spawners[key.data].is_done_for(time.monotonic()):
            self._replace_spawner(key.data)

    def _on_answers(self, workers: WorkerSet, worker: WorkerProcess) -> None:
        try:
            for answer in worker.read():
                if isinstance(answer, Finished):
                    self._on_finished(workers, worker, answer)
                elif isinstance(answer, Results):
                    self._on_results(workers, worker, answer)
                elif isinstance(answer, Started):
                    self._on_started(workers, worker, answer)
                else:
                    self._on_asked(workers, worker, answer)
        except EOFError:
            self._reap(workers, worker)

    def _on_started(self, workers: WorkerSet, worker: WorkerProcess, answer: Started) -> None:
        self._stillborn = 0
        sent = workers.scheduler.in_flight.begin(answer.call)
        if sent is None:  # it was so slow to say so that the call counted as lost
            worker.discard()
            return
        workers.scheduler.give_back_all(worker.passed_by(answer.call))
        in_flight, taken = workers.scheduler.in_flight, range(answer.call, answer.call + answer.count)
        in_flight.note_begun(taken[-1])
        together = filter(in_flight.find, taken) if len(taken) > 1 else ()
        worker.begin(answer.call, log_number=answer.log, now=time.monotonic(), taken=together)
        sent.feed.report_start(answer.call, sent.call, answer.at, worker)
        if sent.feed.cancelled or sent.feed.is_obsolete(sent.call):  # it was taken just before the queue was drained
            worker.end(RunStatus.CANCELLED)

    def _on_finished(self, workers: WorkerSet, worker: WorkerProcess, answer: Finished) -> None:
        workers.scheduler.give_back_all(worker.passed_by(answer.call))
        worker.taken.discard(answer.call)
        if worker.running != answer.call:  # it has begun and ended in the same breath
            self._stillborn = 0
            workers.scheduler.in_flight.note_begun(answer.call)
            worker.excuse()
            sampled_mib = 0.0
        else:
            sampled_mib = worker.peak_memory_mib
        if worker.ended_for not in (None, RunStatus.CANCELLED):  # it was past its limit: the signal made it hurry
            self._report_end(workers, worker, answer.call, 0)
            worker.rest(tainted=False)
            return
        sent = workers.scheduler.in_flight.close(answer.call)
        if sent is None:
            return
        feed, call = sent
        self._ended += 1
        workers.autoscaler.note(answer.duration_s)
        if answer.printed is not None:
            worker.report_log(feed, call, last=True)
        feed.report_result(call, answer, sampled_mib)
        worker.rest(tainted=answer.tainted)

    def _on_results(self, workers: WorkerSet, worker: WorkerProcess, results: Results) -> None:
        """A worker has performed calls that it had taken together, and gives back those that it has not begun."""
        scheduler, watched = workers.scheduler, None
        self._stillborn = 0
        scheduler.give_back_all(worker.passed_by(results.first))
        if results.numbers and worker.is_known and worker.running == results.stop - 1:
            results, watched = results.without_last()
        elif results.first not in worker.held:  # they have begun and ended in the same breath
            scheduler.in_flight.note_begun(results.stop - 1)
            worker.excuse()
        self._ended += len(results.numbers)
        if results.numbers:
            workers.autoscaler.note(sum(results.duration_s) / len(results.numbers))
        scheduler.report_results(results)
        worker.has_answered(results.numbers)
        if watched is not None:
            self._on_finished(workers, worker, watched)
        worker.has_answered(results.returned)
        scheduler.give_back_all(results.returned)

    def _on_asked(self, workers: WorkerSet, worker: WorkerProcess, asked: Asked) -> None:
        """A run waits for what its feed has to say: all others wait as well, as they do while something is recorded."""
        sent = workers.scheduler.in_flight.find(asked.call)
        if sent is not None:
            worker.reply(asked.question, *sent.feed.answer(sent.call, asked))

    # How workers end

    def _look_after(self, now: float) -> None:
        self._single_out_all(now - _OVER_BY_S)
        for _, worker, sent in self._running():
            if sent.feed.is_obsolete(sent.call):
                worker.end(RunStatus.CANCELLED)
                continue
            self._watch.look(worker, sent.feed, sent.call, now)
        for interpreter, one in list(self._spawners.items()):
            if one.is_done_for(now) and interpreter in self._spawners:
                self._replace_spawner(interpreter)
        for each in list(self.worker_sets.values()):
            self._reap_silent(each)
            each.scheduler.send_lost_again(each.performed(), now)

    def _reap(self, workers: WorkerSet, worker: WorkerProcess) -> None:
        """A worker has ended: say what became of its call, and let another take its place."""
        code = workers.remove(worker)
        self._single_out(workers, worker)
        if worker.running is not None and worker.innocent:
            workers.scheduler.give_back(worker.running)
        elif worker.running is not None:
            self._report_end(workers, worker, worker.running, code)
        worker.close()
        workers.scheduler.in_flight.suspect(workers.performed())

    def _reap_silent(self, workers: WorkerSet) -> None:
        """A process that a worker has forked may hold the worker's end of its pipe: then its end is not seen there."""
        for worker in workers:
            if worker.has_ended:
                self._on_answers(workers, worker)
                if worker in workers:
                    self._reap(workers, worker)

    def _report_end(self, workers: WorkerSet, worker: WorkerProcess, number: int, code: int) -> None:
        sent = workers.scheduler.in_flight.close(number)
        if sent is None:
            return
        feed, call = sent
        worker.report_log(feed, call, last=True)
        workers.scheduler.remove_result(number)
        pipes = worker.garbled or code == EXIT_PIPES_CLOSED or worker.closed_its_pipes
        ending = reports.WorkerEnding(worker.ended_for, code, worker.stack(), broke_its_pipes=pipes)
        feed.report_end(call, reports.ended(feed.assignment, call, Usage(*worker.used()), ending))

    def _running(self) -> Iterator[tuple[WorkerSet, WorkerProcess, Sent]]:
        for each in self.worker_sets.values():
            for worker in each:
                if worker.running is not None and worker.is_known and worker.ended_for is None:
                    yield each, worker, each.scheduler.in_flight[worker.running]

    def _single_out_all(self, begun_before: float = math.inf) -> None:
        """Find out which call each worker performs that has taken several together: none but this stays with it.

        Of those that have begun these before `begun_before` (time.monotonic seconds).
        """
        for each in self.worker_sets.values():
            for worker in each:
                if worker.taken and not worker.is_known and worker.since < begun_before:
                    self._single_out(each, worker)
                    if worker.running is not None:
                        sent = each.scheduler.in_flight[worker.running]
                        sent.feed.report_start(worker.running, sent.call, time.time(), worker)

    def _single_out(self, workers: WorkerSet, worker: WorkerProcess) -> None:
        """Leave a worker nothing of what it has taken together but the call that it performs."""
        workers.scheduler.give_back_all(worker.single_out(time.monotonic()))
        if (results := worker.results_so_far()) is not None:
            workers.scheduler.report_results(results)
            worker.has_answered(results.numbers)

    # Where workers come from

    def _ready_spawner(self, interpreter: Interpreter) -> Spawner:
        found = self._spawners.get(interpreter)
        if found is None:
            self._let_spawners_go()
            if interpreter.preloaded:
                plain = self._ready_spawner(interpreter.plain)
                found = plain.preloading(interpreter.preloaded, interpreter.threads)
            else:
                found = spawner(self._environment, interpreter)
            self._spawners[interpreter] = found
            if found.fd >= 0:
                self._selector.register(found.fd, selectors.EVENT_READ, interpreter)
        return found

    def _let_spawners_go(self) -> None:
        used = {each.interpreter for each in self.worker_sets.values()}
        used |= {interpreter.plain for interpreter in used}
        idle = [each for each in self._spawners if any(each) and each not in used]
        for interpreter in idle[: max(0, len(self._spawners) + 1 - _KEPT_SPAWNERS)]:
            self._close_spawner(interpreter)

    def _replace_spawner(self, interpreter: Interpreter) -> None:
        """It has ended, and its workers with it: the next worker comes from another."""
        code = self._close_spawner(interpreter)
        if interpreter.preloaded:  # what it has imported may have ended it: each worker imports it for itself
            for each in self.worker_sets.values():
                each.interpreter = interpreter.plain if each.interpreter == interpreter else each.interpreter
            return
        self._stillborn += 1
        if self._stillborn >= _STILLBORN:
            raise cannot_start(code)

    def _close_spawner(self, interpreter: Interpreter) -> int:
        for other in [*self._spawners]:
            if other.preloaded and other.plain == interpreter:  # its child, which it would wait for
                self._close_spawner(other)
        gone = self._spawners.pop(interpreter, None)
        if gone is None:
            return 0
        if gone.fd >= 0:
            self._selector.unregister(gone.fd)
        return gone.close()

    def _dismiss(self) -> None:
        for each in list(self.worker_sets.values()):
            self._remove(each)
        for interpreter in list(self._spawners):
            self._close_spawner(interpreter)

    def _follow_environment(self) -> None:
        """Let workers that see an older environment or folder than this process has now make room for others."""
        now = surroundings()
        if now != self._started_from:
            self._started_from = now
            self._dismiss()


def _used_at(workers: WorkerSet) -> float:
    return workers.used_at
