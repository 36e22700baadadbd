"""A Ctrl-C at any moment leaves a job that can be read, waited for and retried."""

from __future__ import annotations

import inspect
import sys
from contextlib import suppress

import pytest

import fanfold
from fanfold.core import columns
from fanfold.core import fold as state
from fanfold.engines.local.engine import LocalEngine
from fanfold.job import job as job_module
from fanfold.job import waiting as tracker


class CtrlC:
    """Interrupts what is done within it before the line of that number, of all that these modules and classes perform.

    A line may be the one at which a lock is let go, where no real signal is raised: name nothing whose locks other
    threads wait for.
    """

    def __init__(self, number, *parts):
        self.left = number
        self._lines = {inspect.getsourcefile(part): _lines_of(part) for part in parts}

    def __enter__(self):
        self._before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_):
        sys.settrace(self._before)

    def _trace(self, frame, what, _):
        if frame.f_code.co_firstlineno not in self._lines.get(frame.f_code.co_filename, ()):
            return None
        if what == "line":
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt
        return self._trace


def _lines_of(part):
    lines, first = inspect.getsourcelines(part)
    return range(first, first + len(lines))


def odd_only(x: int):
    if x % 2 == 0:
        raise ValueError(f"{x} is even")
    return x


def test_wherever_reading_a_job_is_interrupted_none_of_its_events_is_lost():
    job = fanfold.submit(odd_only, range(4), collect=False).wait()
    counts, errors = job.counts(), [str(job.error(index)) for index in range(4)]
    for number in range(1, 10_000):
        held = fanfold.get_job(job.id)
        with suppress(KeyboardInterrupt), CtrlC(number, tracker, state, columns) as interrupt:
            held.tracker.refresh()
        assert held.wait(timeout=60).counts() == counts
        assert [str(held.error(index)) for index in range(4)] == errors
        assert [held.result(index) for index in (1, 3)] == [1, 3]
        if interrupt.left > 0:
            break
    assert number > 100


@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.long)])
def test_wherever_a_retry_is_interrupted_the_job_ends_and_can_be_retried(step, tmp_path):
    def read(path: str):
        with open(path) as file:
            return file.read()

    for number in range(1, 10_000, step):
        path = tmp_path / str(number)
        job = fanfold.submit(read, [str(path)], collect=False, cache=False).wait()
        with suppress(KeyboardInterrupt), CtrlC(number, job_module, tracker, LocalEngine) as interrupt:
            job.retry()
        held = fanfold.get_job(job.id)
        held.wait(timeout=60)
        assert held.counts() in ({"failed": 1}, {"cancelled": 1})
        path.write_text("there")
        assert held.retry().results() == ["there"]
        assert job.results() == ["there"]
        if interrupt.left > 0:
            break
    assert number > 20
