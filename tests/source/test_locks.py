"""Locks, events, queues, thread pools and thread-locals: where the code runs, a new one of the same kind."""

from __future__ import annotations

import textwrap
import threading
from pickle import PicklingError
from typing import Any

import pytest

import fanfold
from fanfold.source.capture import capture
from tests.source.conftest import Desk, arrived
from tests.source.test_what_cannot_travel import refusal

EVERYTHING = """
    import queue, threading
    from concurrent.futures import ThreadPoolExecutor
    from dataclasses import dataclass, field

    LOCK, AGAIN, POOL = threading.Lock(), threading.RLock(), ThreadPoolExecutor(2)
    SET, UNSET = threading.Event(), threading.Event()
    SET.set()
    SAME = LOCK
    CHANGED = threading.Condition(LOCK)
    THREE, TWO, ALONE = threading.Semaphore(3), threading.BoundedSemaphore(2), threading.Barrier(1)
    QUEUES = [queue.Queue(5), queue.LifoQueue(), queue.PriorityQueue(), queue.SimpleQueue()]
    HERE = threading.local()
    HERE.tenant = "a"

    class Mine(threading.local):
        def __init__(self): self.n = 1
    MINE = Mine()

    class Waiting(queue.Queue):
        def length(self): return self.qsize()
    WAITING = Waiting(4)

    @dataclass
    class Memory:
        guard: threading.Lock = field(default_factory=threading.Lock)
        shared = threading.RLock()
    MEMORY = Memory()

    def guarded(function, lock=threading.Lock()):
        inner = threading.RLock()
        def call(*args):
            with lock, inner, MEMORY.guard, MEMORY.shared: return function(*args)
        return call

    @guarded
    def main(x):
        with CHANGED:  # as of the lock that it is made with
            assert SAME is LOCK and SAME.locked()
            CHANGED.notify()
        with AGAIN, AGAIN, THREE, TWO: counts = (THREE._value, TWO._value)
        for each in [*QUEUES, WAITING]: each.put(x)
        waiting, taken = WAITING.length(), [each.get() for each in [*QUEUES, WAITING]][:4]
        return [
            *counts, SET.is_set(), UNSET.is_set(), ALONE.wait(), taken, QUEUES[0].maxsize, waiting,
            WAITING.maxsize, HERE.tenant, MINE.n, list(POOL.map(abs, [-x])),
        ]
"""
GIVEN = [2, 1, True, False, 0, [7, 7, 7, 7], 5, 1, 4, "a", 1, [7]]


def test_the_run_has_new_ones_of_the_same_kinds(desk: Desk) -> None:
    bundle = desk.capture(EVERYTHING)
    assert arrived(bundle)(7) == GIVEN
    assert desk.elsewhere(bundle, 7) == GIVEN


def test_an_executors_worker_has_them_of_what_its_code_uses_and_never_of_an_argument() -> None:
    script: dict[str, Any] = {"__name__": "__main__"}  # whose functions go by value, with the variables that they use
    exec(textwrap.dedent(EVERYTHING), script)
    main = script["main"]
    with fanfold.Executor(1) as executor:
        assert executor.submit(main, 7).result() == GIVEN
        assert list(executor.map(main, [7, 7, 7], chunksize=2)) == [GIVEN] * 3
        with pytest.raises(TypeError, match=r"cannot pickle '_thread\.lock' object"):
            executor.submit(len, [threading.Lock()]).result()
        with script["AGAIN"], pytest.raises(PicklingError, match="it is a lock that a thread of this process holds"):
            executor.submit(main, 7).result()


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("threading.RLock(); S.acquire()", "a lock that a thread of this process holds"),
        ("threading.BoundedSemaphore(2); S.acquire()", "a semaphore of which 1 of 2 are taken"),
        ("threading.Condition(); S.acquire()", "a lock that a thread of this process holds"),
        ("threading.Barrier(2); S.abort()", "a broken barrier"),
        ("queue.SimpleQueue(); S.put(1); S.put(2)", "a queue that holds 2 items"),
        ("ThreadPoolExecutor(1); S.shutdown()", "a thread pool that was shut down"),
        ("Named('a')", "a thread-local whose class asks for arguments, which nobody can see"),
        ("threading.local(); S.file = open(__file__); S.file.close()", "an open file"),
        ("subprocess.Popen(['true']); S.wait()", "a live object (subprocess.Popen)"),
        ("Future()", "a live object (concurrent.futures._base.Future)"),
    ],
)
def test_one_that_is_held_or_holds_something_is_refused(desk: Desk, made: str, said: str) -> None:
    text = (
        "import queue, subprocess, threading\nfrom concurrent.futures import Future, ThreadPoolExecutor\n"
        f"class Named(threading.local):\n    def __init__(self, name): pass\nS = {made}\ndef main(): return S\n"
    )
    assert "work.py:6: 'main' uses 'S'" in (message := refusal(desk.module(text).main))
    assert f"{said}; it cannot travel." in message


def test_whether_an_event_is_set_is_part_of_the_hash(desk: Desk) -> None:
    module = desk.module("import threading\nS = threading.Event()\nL = threading.Lock()\ndef main(): return S, L\n")
    before = capture(module.main).code_hash
    module.L = threading.Lock()
    assert capture(module.main).code_hash == before
    module.S.set()
    assert capture(module.main).code_hash != before
