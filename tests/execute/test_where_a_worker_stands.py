"""A worker is asked where it stands, though others have the processor meanwhile."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from fanfold.execution.pool.process import ask_for_stack

STANDS = """
import faulthandler, signal, sys, time

def stands_here():
    print("ready", flush=True)
    time.sleep(600)

faulthandler.register(signal.SIGUSR2, open(sys.argv[1], "w"), all_threads=True)
if sys.argv[2:]:
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
stands_here()
"""


class Trace:
    """What a worker writes down, and how often it was looked at."""

    def __init__(self, path):
        self.path, self.looks = path, 0

    def size(self):
        self.looks += 1
        return self.path.stat().st_size


@pytest.fixture
def trace(tmp_path):
    return Trace(tmp_path / "trace")


@pytest.fixture
def worker(trace):
    """Starts a process that stands somewhere, and answers as a worker does."""
    started = []

    def start(*more):
        process = subprocess.Popen([sys.executable, "-c", STANDS, str(trace.path), *more], stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout.readline() == b"ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_one_whose_turn_comes_late_is_waited_for(worker, trace, eventually):
    late = worker()
    late.send_signal(signal.SIGSTOP)
    with ThreadPoolExecutor(1) as other:
        asked = other.submit(ask_for_stack, late.pid, trace.size, wait_s=0.01, at_most_s=100.0)
        eventually(lambda: trace.looks > 5)  # with pauses that are as long as one in time would take
        late.send_signal(signal.SIGCONT)
        assert asked.result(100) == 0
    assert "in stands_here" in trace.path.read_text()


def test_one_that_holds_the_question_back_is_not(worker, trace):
    deaf = worker("deaf")
    assert ask_for_stack(deaf.pid, trace.size, wait_s=0.01, at_most_s=1000.0) == 0  # no test takes so long
    assert trace.path.read_text() == ""
