"""Waiting, attaching, cancelling and retrying, from the process that submitted or from another."""

from __future__ import annotations

import itertools
import os
import threading
import time

import psutil
import pytest

import fanfold
from fanfold.core.fold import JobState
from fanfold.core.models import Event, EventKind, RunStatus
from fanfold.core.processes import usable_cores
from fanfold.errors import InputError, RunCancelled, WaitTimeout
from tests.conftest import is_gone, worker_processes
from tests.fold.stories import a_job


@fanfold.udf
def wait_for(path: str):
    import os
    import time

    print("waiting for", path, flush=True)
    while not os.path.exists(path):
        time.sleep(0.005)
    return os.path.basename(path)


@fanfold.udf
def hang_with_child(x: int):
    import subprocess
    import time

    subprocess.Popen(["sleep", "60"], start_new_session=True)
    print("child started", flush=True)
    time.sleep(60)


@pytest.fixture
def two_workers(monkeypatch):
    """As many as these tests need side by side, on a machine with one core too."""
    monkeypatch.setattr("fanfold.engines.local.engine.usable_cores", lambda: 2)


@pytest.mark.usefixtures("two_workers")
def test_as_completed_gives_runs_in_the_order_in_which_they_end(tmp_path):
    job = fanfold.submit(wait_for, [str(tmp_path / name) for name in "ab"], collect=False, max_workers=2)
    runs = job.as_completed()
    (tmp_path / "b").touch()
    assert next(runs).result() == "b"
    (tmp_path / "a").touch()
    assert next(runs).result() == "a"
    assert list(runs) == []


def test_a_wait_that_is_too_short_leaves_the_job_alone(tmp_path):
    job = fanfold.submit(wait_for, [str(tmp_path / "go")], collect=False)
    with pytest.raises(WaitTimeout, match="not complete yet"):
        job.wait(timeout=0.1)
    with pytest.raises(TimeoutError):
        list(job.as_completed(timeout=0.1))
    (tmp_path / "go").touch()
    assert job.wait(timeout=120).results() == ["go"]


def test_output_can_be_read_while_the_run_goes_on(tmp_path, eventually):
    job = fanfold.submit(wait_for, [str(tmp_path / "go")], collect=False)
    eventually(lambda: job.logs(0) == f"waiting for {tmp_path / 'go'}\n")
    assert job.status == "Running"
    (tmp_path / "go").touch()
    job.wait()


def test_cancel_ends_running_work_and_leaves_no_process(eventually):
    others = set(psutil.Process().children(recursive=True))  # servers of other tests in this process
    job = fanfold.submit(hang_with_child, range(50), collect=False)
    eventually(lambda: str(job.logs()).count("child started") == usable_cores())
    workers = set(worker_processes()) - others
    family = workers.union(*(worker.children() for worker in workers))
    assert len(family) == 2 * usable_cores()
    job.cancel()
    assert job.status == "Cancelled"
    assert job.counts() == {"cancelled": 50}
    eventually(lambda: all(is_gone(process.pid) for process in family))
    with pytest.raises(RunCancelled):
        job.results()
    assert job.cancel().status == "Cancelled"


def test_cancel_takes_less_than_two_seconds(eventually):
    def seconds():
        job = fanfold.submit(hang_with_child, range(50), cache=False, collect=False)
        eventually(lambda: "child started" in str(job.logs()))
        began = time.monotonic()
        job.cancel()
        return time.monotonic() - began

    assert any(seconds() < 2 for _ in range(20))  # where all at once are slow, the machine is


def test_what_has_finished_stays_finished_through_a_cancel(tmp_path, eventually):
    for name in "abc":
        (tmp_path / name).touch()
    job = fanfold.submit(wait_for, [str(tmp_path / name) for name in "abcxyz"], collect=False)
    eventually(lambda: job.counts().get("succeeded") == 3)
    job.cancel()
    assert job.counts() == {"succeeded": 3, "cancelled": 3}
    assert job.results(ignore_exceptions=True) == ["a", "b", "c"]


def test_another_process_attaches_to_a_running_job_and_cancels_it(script, eventually, tmp_path):
    owner = script(
        """
        import sys, fanfold

        @fanfold.udf
        def wait_for(path: str):
            import os, time
            print("here", flush=True)
            while not os.path.exists(path):
                time.sleep(0.005)
            return 42

        job = fanfold.submit(wait_for, [sys.argv[1], sys.argv[2]], collect=False)
        print(job.id, flush=True)
        print(job.wait().status)
    """,
        tmp_path / "go",
        tmp_path / "never",
    )
    job = fanfold.get_job(owner.line())
    eventually(lambda: job.logs(0) == "here\n")
    (tmp_path / "go").touch()
    assert job.result(0) == 42
    assert (job.status, job.counts()) == ("Running", {"running": 1, "succeeded": 1})
    assert job.id in [one.id for one in fanfold.get_jobs()]
    job.cancel()
    assert job.counts() == {"succeeded": 1, "cancelled": 1}
    assert owner.end()[:2] == (0, "Cancelled\n")


def test_retry_runs_only_what_failed_or_was_cancelled(tmp_path, eventually):
    def count_and_fail(name: str, folder: str):
        import os
        import tempfile

        tempfile.mkstemp(dir=folder, prefix=name)
        if name == "bad" and len(os.listdir(folder)) < 4:
            raise ValueError("bad")
        return name

    job = fanfold.submit(count_and_fail, [{"name": n} for n in ("a", "bad", "b")], folder=str(tmp_path), collect=False)
    with pytest.raises(fanfold.RunFailed, match="ValueError: bad"):
        job.results()
    assert job.retry().results() == ["a", "bad", "b"]
    assert sum(name.startswith("bad") for name in os.listdir(tmp_path)) == 2
    assert len(os.listdir(tmp_path)) == 4

    waiting = fanfold.submit(wait_for, [str(tmp_path / "later")], collect=False)
    with pytest.raises(InputError, match="still runs"):
        waiting.retry()
    waiting.cancel()
    (tmp_path / "later").touch()
    assert waiting.retry().results() == ["later"]
    assert waiting.status == "Completed"


def test_a_retry_is_not_ended_by_the_late_news_of_the_cancelled_try():
    header = a_job(count=1)
    state = JobState(header.cancelled(1.0))
    again = state.next_attempt(0)
    state.header = header
    for kind, attempt, status in (("queued", again, None), ("finished", 0, RunStatus.CANCELLED)):
        state.apply([Event.new(header.id, 0, attempt, EventKind(kind), status=status)])
    assert state.status_of(0) is RunStatus.QUEUED


def test_what_was_lost_is_retried_by_another_process(script, eventually, tmp_path):
    owner = script(
        """
        import sys, fanfold

        @fanfold.udf
        def wait_for(path: str):
            import os, time
            while not os.path.exists(path):
                time.sleep(0.005)
            import psutil
            return psutil.Process(os.getppid()).ppid()

        job = fanfold.submit(wait_for, [sys.argv[1]], collect=False)
        print(job.id, flush=True)
        job.wait()
    """,
        tmp_path / "go",
    )
    job = fanfold.get_job(owner.line())
    eventually(job.running)
    owner.process.kill()
    owner.process.wait()
    assert eventually(job.counts) == {"lost": 1}
    (tmp_path / "go").touch()
    assert job.retry().results() == [os.getpid()]


@pytest.mark.usefixtures("two_workers")
def test_two_jobs_at_once_share_the_workers(tmp_path, eventually):
    slow = fanfold.submit(wait_for, [str(tmp_path / "go")] * 40, collect=False, max_workers=1)
    quick = fanfold.submit(wait_for, [str(tmp_path / name) for name in "abc"], collect=False)
    for name in "abc":
        (tmp_path / name).touch()
    assert quick.results() == ["a", "b", "c"]
    eventually(lambda: slow.status == "Running")
    (tmp_path / "go").touch()
    assert slow.results() == ["go"] * 40


def test_max_workers_bounds_the_runs_side_by_side():
    def overlap(x: int):
        import time

        began = time.monotonic()
        time.sleep(0.02)
        return [began, time.monotonic()]

    spans = sorted(fanfold.submit(overlap, range(8), collect=False, max_workers=1).results())
    assert all(earlier[1] <= later[0] for earlier, later in itertools.pairwise(spans))


def test_many_threads_may_submit_at_once():
    def add(x: int):
        return x + 1

    results = {}

    def submit(start):
        results[start] = fanfold.submit(add, range(start, start + 50), collect=False).results()

    threads = [threading.Thread(target=submit, args=(start,)) for start in range(0, 400, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {start: list(range(start + 1, start + 51)) for start in range(0, 400, 50)}


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_of_the_caller_may_submit_as_well(tmp_path):
    def add(x: int):
        return x + 1

    assert fanfold.submit(add, range(3), collect=False).results() == [1, 2, 3]
    child = os.fork()
    if not child:
        code = 1
        try:
            values = fanfold.submit(add, range(10, 13), collect=False).results()
            fanfold.engines.base.engine_for().close()
            code = 0 if values == [11, 12, 13] else 2
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert fanfold.submit(add, range(3, 6), collect=False).results() == [4, 5, 6]


def test_workers_are_as_many_as_usable_cores(script):
    told = script("""
        import os
        from fanfold.core.processes import usable_cores
        os.sched_setaffinity(0, {next(iter(os.sched_getaffinity(0)))})
        print(usable_cores())
    """)
    assert told.end()[1] == "1\n"


def test_nothing_is_left_in_scratch(home, tmp_path, eventually):
    def produce(x: int):
        print("x" * 100)
        return b"y" * 20_000

    fanfold.submit(produce, range(40), collect=False).results()
    scratch = home / "scratch"
    workers_own = ("trace", ".log")

    def only_empty_files_of_workers():
        left = [path for path in scratch.rglob("*") if path.is_file()]
        return all(path.name.endswith(workers_own) and path.stat().st_size == 0 for path in left)

    eventually(only_empty_files_of_workers)
    fanfold.engines.base.engine_for().close()
    assert list(scratch.iterdir()) == []
    assert list((home / "running").iterdir()) == []


def test_the_folder_of_a_killed_pool_is_removed_by_the_next(script, home):
    killed = script("""
        import os, signal, fanfold

        def one(x: int):
            return x

        fanfold.submit(one, range(3))
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    killed.end()
    assert len(list((home / "scratch").iterdir())) == 1

    def one(x: int):
        return x

    fanfold.submit(one, range(3, 6))
    assert [path.name.split("-")[1] for path in (home / "scratch").iterdir()] == [str(os.getpid())]
