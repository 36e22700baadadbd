"""A Ctrl-C at any moment leaves a job that can be read, waited for and retried."""

from __future__ import annotations

import inspect
import sys
from contextlib import suppress

import pytest

import fanfold
from fanfold.api import submit as api
from fanfold.core import columns
from fanfold.core import fold as state
from fanfold.engines.local.engine import LocalEngine
from fanfold.job import job as job_module
from fanfold.job import waiting as tracker
from fanfold.submission import prepare


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


@pytest.mark.parametrize("step", [23, pytest.param(1, marks=pytest.mark.long)])
def test_wherever_a_submit_is_interrupted_its_job_is_over(step):
    known = set()
    for number in range(1, 100_000, step):
        interrupted = None
        with CtrlC(number, api, prepare.prepare, prepare.Submission, LocalEngine, job_module) as interrupt:
            try:
                fanfold.submit(odd_only, [1, 3], cache=False)
            except KeyboardInterrupt as error:
                interrupted = error
        (job,) = [one for one in fanfold.get_jobs(limit=2) if one.id not in known] or [None]
        if job is not None:
            known.add(job.id)
            assert job.status in ("Cancelled", "Completed"), number
            # One that comes when all is there, right before the call returns, has nothing to say.
            assert interrupted is None or job.id in str(interrupted) or job.status == "Completed", number
        if interrupt.left > 0:
            break
    assert number > 100
    assert len(known) > 3


WAYS = {
    "wait": lambda job: job.wait(),
    "results": lambda job: job.results(),
    "collect": lambda job: job.collect(),
    "result": lambda job: job.result(3),
    "run": lambda job: job[3].result(),
    "as completed": lambda job: list(job.as_completed()),
}


@pytest.fixture
def interrupted_wait(monkeypatch):
    """Interrupts the next wait for news of this machine's jobs."""

    def interrupt():
        left, wait_for_news = [KeyboardInterrupt], LocalEngine.wait_for_news

        def wait(engine, timeout_s):
            if left:
                raise left.pop()
            return wait_for_news(engine, timeout_s)

        monkeypatch.setattr(LocalEngine, "wait_for_news", wait)

    return interrupt


@pytest.mark.parametrize("way", WAYS)
def test_a_wait_that_is_interrupted_says_that_the_job_goes_on_and_shows_no_lines_of_fanfold_s(
    way, held, interrupted_wait
):
    job, release = held
    interrupted_wait()
    with pytest.raises(KeyboardInterrupt) as interrupted:
        WAYS[way](job)
    assert str(interrupted.value).startswith(f"job {job.id} goes on as long as this process does: ")
    assert f'fanfold.get_job("{job.id}").wait() waits again, and .cancel() ends it' in str(interrupted.value)
    if sys.version_info >= (3, 11):
        own = [one for one in interrupted.traceback if "fanfold" in str(one.path) and "tests" not in str(one.path)]
        assert len(own) == (way == "as completed")  # a generator is there itself
    release()
    assert job.wait().status == "Completed"


def test_a_wait_for_results_that_all_are_there_says_so_when_it_is_interrupted(monkeypatch):
    job = fanfold.submit(odd_only, [1, 3], collect=False).wait()

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(job.contents, "read_plain", interrupted)
    with pytest.raises(KeyboardInterrupt, match=rf"job {job.id} has ended: 2 succeeded; .* has its results"):
        job.results()


def test_a_second_ctrl_c_does_not_wait_for_what_the_first_has_cancelled(interrupted_wait, monkeypatch):
    def hang(x: int):
        import time

        time.sleep(60)

    def interrupted(*_):
        raise KeyboardInterrupt

    interrupted_wait()
    monkeypatch.setattr(LocalEngine, "cancel", interrupted)
    with pytest.raises(KeyboardInterrupt, match=r"job .* is being cancelled; .*retry\(\) runs the rest"):
        fanfold.submit(hang, [1])
    assert fanfold.get_jobs(limit=1)[0].wait(timeout=60).status == "Cancelled"


def test_an_interrupt_in_code_of_the_user_s_own_keeps_its_lines():
    def days():
        yield 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as interrupted:
        fanfold.submit(odd_only, days())
    assert interrupted.traceback[-1].name == "days"
