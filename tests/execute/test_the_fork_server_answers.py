"""A pool and its fork server wait for each other, but neither for ever: what one does not do is asked of another."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from fanfold.core.models import RunStatus
from fanfold.execution.calls import Interpreter
from fanfold.execution.channel import CallQueue
from fanfold.execution.pool import spawn
from fanfold.execution.pool.pool import Pool
from fanfold.execution.pool.process import WorkerProcess
from fanfold.execution.pool.spawn import ForkServerClient


def doubled(index: int):
    return 2 * index


def with_numpy(index: int):
    import numpy as np

    return int(np.arange(3).sum()) + index


@pytest.fixture
def impatient(monkeypatch):
    """The first fork server that does not answer is given up at once; another has its time."""
    replace = Pool._replace_spawner

    def replaced(self, interpreter):
        monkeypatch.setattr(spawn, "SILENT_S", 60.0)
        replace(self, interpreter)

    monkeypatch.setattr(spawn, "SILENT_S", 0.3)
    monkeypatch.setattr(Pool, "_replace_spawner", replaced)


def serve(pool, given):
    """Serve a feed, within a minute."""
    pool.add(given)
    deadline = time.monotonic() + 200
    while pool.serves(given):
        assert time.monotonic() < deadline
        pool.step()
    assert {told.status for told in given.told.values()} == {RunStatus.SUCCEEDED}


def test_more_workers_may_be_asked_for_than_answers_fit_into_its_socket(monkeypatch, tmp_path):
    pair, options = spawn._socket.socketpair, spawn._socket

    def small(*kind):
        both = pair(*kind)
        for one in both:
            one.setsockopt(options.SOL_SOCKET, options.SO_SNDBUF, 1)
        return both

    with monkeypatch.context() as tight:
        tight.setattr(spawn._socket, "socketpair", small)
        server, queue = ForkServerClient(None, ""), CallQueue(tmp_path)
    workers = []

    def ask():
        workers.extend(WorkerProcess(tmp_path / f"w{number}", queue.exit, server) for number in range(24))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(60)
    assert not asking.is_alive()
    assert len({worker.pid for worker in workers} - {0}) == 24
    queue.close()
    server.close()
    for worker in workers:
        worker.close()


def test_a_fork_server_that_stands_still_makes_room_for_another(pool, feed, impatient):
    one = pool(1)
    still = one._ready_spawner(Interpreter())
    os.kill(still._process._pid, signal.SIGSTOP)
    serve(one, feed(doubled, [{"index": index} for index in range(10)]))
    assert still not in one._spawners.values()


def test_so_does_one_that_stands_still_while_it_imports_what_workers_need(pool, feed, monkeypatch, impatient):
    ask = ForkServerClient._ask

    def in_vain(self, what, fds):
        """It is asked to import something, and hears nothing of it."""
        if not what.startswith(spawn.PRELOAD):
            ask(self, what, fds)
        else:
            kept.append([os.dup(fd) for fd in fds])

    kept = []
    monkeypatch.setattr(ForkServerClient, "_ask", in_vain)
    serve(pool(2), feed(with_numpy, [{"index": index} for index in range(4)]))
    assert kept
    for fd in kept[0]:
        os.close(fd)


def test_who_asks_for_the_number_of_a_worker_that_never_comes_is_told_that_there_is_none(tmp_path, monkeypatch):
    server, queue = ForkServerClient(None, ""), CallQueue(tmp_path)
    os.kill(server._process._pid, signal.SIGSTOP)
    monkeypatch.setattr(spawn, "SILENT_S", 0.3)
    worker = WorkerProcess(tmp_path / "w0", queue.exit, server)
    assert worker.pid == 0
    assert worker.has_ended
    queue.close()
    server.close()
    worker.close()


def test_a_fork_server_that_has_closed_its_socket_and_lives_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(spawn, "_STUCK_AFTER_S", 0.2)
    server = ForkServerClient(None, "")
    pid = server._process._pid
    os.kill(pid, signal.SIGSTOP)
    server.ended = True  # as far as its socket tells
    assert server.close() == -signal.SIGKILL


def test_one_that_ends_by_itself_is_waited_for():
    server = ForkServerClient(None, "")
    assert server.close() == 0


@pytest.mark.parametrize("count", [1, 3])
def test_all_that_it_was_asked_for_ends_with_it(tmp_path, count):
    server, queue = ForkServerClient(None, ""), CallQueue(tmp_path)
    os.kill(server._process._pid, signal.SIGSTOP)
    workers = [WorkerProcess(tmp_path / f"w{number}", queue.exit, server) for number in range(count)]
    os.kill(server._process._pid, signal.SIGKILL)
    assert [worker.reap() for worker in workers] == [-signal.SIGKILL] * count
    queue.close()
    server.close()
    for worker in workers:
        worker.close()
