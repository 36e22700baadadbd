"""Kills, crashes and interrupts: nothing is lost, nothing comes twice, nothing is left running."""

from __future__ import annotations

import os
import random
import signal
import textwrap
import threading
import time
from contextlib import suppress

import psutil
import pytest

import fanfold
from fanfold.core.models import EventKind, RunStatus
from fanfold.errors import NestedSubmitError, RunFailed, WorkerDied
from tests.conftest import is_gone, worker_processes


@pytest.mark.slow
def test_kill_9_of_random_workers_while_800_runs_go(home, eventually):
    def square(x: int):
        import time

        time.sleep(0.002)
        return x * x

    job = fanfold.submit(square, range(800), collect=False, max_retry=50)
    over, kills, dice = threading.Event(), [], random.Random(11)

    def reap_at_random():
        while not over.wait(0.05):
            for worker in worker_processes():
                if dice.random() < 0.5:
                    with suppress(psutil.NoSuchProcess):  # it has ended of the last
                        worker.kill()
                        kills.append(worker.pid)

    killer = threading.Thread(target=reap_at_random)
    killer.start()
    try:
        values = job.results()
    finally:
        over.set()
        killer.join()
    assert len(kills) > 5
    assert values == [x * x for x in range(800)]
    assert job.counts() == {"succeeded": 800}
    assert job.verify().complete
    eventually(lambda: all(is_gone(pid) for pid in kills))
    assert not any(path.is_file() and path.suffix in (".result", ".arguments") for path in home.glob("scratch/**/*"))


def test_a_dead_worker_is_retried_within_max_retry_and_then_is_a_failure_with_its_reason(tmp_path):
    def die_until(marks: str, enough: int):
        import os
        import tempfile

        tempfile.mkstemp(dir=marks)
        if len(os.listdir(marks)) < enough:
            os._exit(5)
        return len(os.listdir(marks))

    for name in ("few", "many"):
        (tmp_path / name).mkdir()
    few, many = (
        fanfold.submit(die_until, [{"marks": str(tmp_path / name), "enough": enough}], max_retry=2, collect=False)
        for name, enough in (("few", 3), ("many", 99))
    )
    assert few.results() == [3]
    assert few[0].attempt == 2
    with pytest.raises(WorkerDied, match="exit code 5 in the middle of the run"):
        many.results()
    assert len(os.listdir(tmp_path / "many")) == 3


def test_the_users_own_error_is_not_retried_unless_named(tmp_path):
    def fail(marks: str):
        import tempfile

        tempfile.mkstemp(dir=marks)
        raise ConnectionResetError("again")

    for name in ("plain", "named"):
        (tmp_path / name).mkdir()
    fanfold.submit(fail, [str(tmp_path / "plain")], collect=False).wait()
    fanfold.submit(fail, [str(tmp_path / "named")], collect=False, retry_on=OSError).wait()
    assert len(os.listdir(tmp_path / "plain")) == 1
    assert len(os.listdir(tmp_path / "named")) == 3


CALLER = """
    import fanfold

    @fanfold.udf
    def slow_or_quick(x: int):
        import os, time
        if x >= 20:
            time.sleep(60)
        return [x, os.getpid()]

    if __name__ == "__main__":
        job = fanfold.submit(slow_or_quick, range(30), collect=False)
        print(job.id, flush=True)
        job.wait()
"""


def test_kill_9_of_the_caller_ends_its_workers_and_loses_nothing_that_was_done(script, eventually, tmp_path):
    caller = script(CALLER)
    job = fanfold.get_job(caller.line())
    eventually(lambda: job.counts().get("succeeded") == 20 and job.counts().get("running"))
    assert job.status == "Running"
    workers = worker_processes(psutil.Process(caller.process.pid))
    assert workers
    caller.process.kill()
    caller.process.wait()
    eventually(lambda: all(is_gone(worker.pid) for worker in workers))

    attached = fanfold.get_job(job.id)
    assert attached.status == "Failed"
    assert attached.counts() == {"succeeded": 20, "lost": 10}
    assert [value[0] for value in attached.results(ignore_exceptions=True)] == list(range(20))
    with pytest.raises(fanfold.RunLost, match=r"the process that ran it on .* has ended"):
        attached.results()

    again = fanfold.get_job(script(CALLER).line())
    assert again.counts()["cached"] == 20
    again.cancel()
    assert again.counts() == {"cached": 20, "cancelled": 10}


def test_kill_9_of_a_caller_with_forked_children_ends_its_workers_as_well(script, eventually):
    caller = script("""
        import os, signal, time, fanfold

        def hang(x: int):
            import time
            time.sleep(60)

        job = fanfold.submit(hang, range(2), collect=False)
        while not job.running():
            time.sleep(0.01)
        child = os.fork()
        if not child:
            signal.pause()
        print(job.id, child, flush=True)
        job.wait()
    """)
    job_id, child = caller.line().split()
    workers = [worker for worker in worker_processes(psutil.Process(caller.process.pid)) if worker.pid != int(child)]
    caller.process.kill()
    caller.process.wait()
    try:
        eventually(lambda: all(is_gone(worker.pid) for worker in workers))
        assert fanfold.get_job(job_id).counts() == {"lost": 2}
        assert not is_gone(int(child))
    finally:
        os.kill(int(child), signal.SIGKILL)


def test_a_caller_that_ends_waits_for_what_it_has_started(script):
    caller = script("""
        import fanfold

        def wait(x: int):
            import time
            time.sleep(0.3)
            return x

        print(fanfold.submit(wait, range(4), collect=False).id, flush=True)
    """)
    job_id = caller.line()
    code, _, err = caller.end()
    assert code == 0
    assert f"waiting for {job_id} to finish before this process ends" in err
    assert fanfold.get_job(job_id).results() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "wait",
    [
        "fanfold.submit(hang, range(2), collect=False).wait()",
        "fanfold.Executor(2).submit(hang, 1).result()",
        pytest.param("fanfold.Executor(2, cache=True).submit(hang, 1).result()", marks=pytest.mark.long),
        "with fanfold.Executor(2) as executor: list(executor.map(hang, range(3)))",
        pytest.param(
            "with fanfold.Executor(2, cache=True) as executor: list(executor.map(hang, range(3)))",
            marks=pytest.mark.long,
        ),
    ],
)
def test_two_quick_ctrl_c_end_what_a_script_waits_for_and_nobody_complains(wait, script, eventually, tmp_path):
    caller = script(f"""
        import fanfold, pathlib

        def hang(x: int):
            import time
            pathlib.Path({str(tmp_path)!r}, f"began-{{x}}").touch()
            time.sleep(60)

        {wait}
    """)
    eventually(lambda: list(tmp_path.glob("began-*")))
    workers = worker_processes(psutil.Process(caller.process.pid))
    caller.process.send_signal(signal.SIGINT)
    caller.process.send_signal(signal.SIGINT)
    code, _, err = caller.end(timeout=50)
    assert code != 0
    assert "KeyboardInterrupt" in err
    own = "Exception ignored in: <module 'threading'"  # Python's word for a Ctrl-C that comes as it exits
    assert "ignored" not in err.replace(own, "")
    assert "Exception in thread" not in err
    eventually(lambda: all(is_gone(worker.pid) for worker in workers))
    assert all(job.status == "Cancelled" for job in fanfold.get_jobs())


def test_ctrl_c_cancels_cleanly(script, eventually):
    caller = script("""
        import fanfold

        def hang(x: int):
            import time
            print("at", x)
            time.sleep(60)

        fanfold.submit(hang, range(10))
    """)
    job = eventually(lambda: next(iter(fanfold.get_jobs()), None))
    eventually(lambda: len(job.running()) >= 1)
    workers = worker_processes(psutil.Process(caller.process.pid))
    caller.process.send_signal(signal.SIGINT)
    code, _, err = caller.end(timeout=50)
    assert code != 0
    assert "KeyboardInterrupt" in err
    assert job.status == "Cancelled"
    assert job.counts() == {"cancelled": 10}
    eventually(lambda: all(is_gone(worker.pid) for worker in workers))


HANGING = """
    import fanfold

    def hang(x: int):
        import time
        time.sleep(60)

    job = fanfold.submit(hang, range(2), collect=False)
    print(job.id, flush=True)
"""


def _long(waits: str):
    return pytest.param(waits, marks=pytest.mark.long)


@pytest.mark.parametrize("waits", ["job.wait()", _long("job.results()"), _long("list(job.as_completed())"), ""])
def test_ctrl_c_ends_what_the_process_has_started_and_waits_for(script, eventually, waits):
    caller = script(HANGING + f"    {waits}\n")
    job = fanfold.get_job(caller.line())
    if not waits:
        assert "waiting for" in caller.process.stderr.readline()
    eventually(lambda: len(job.running()) >= 1)
    caller.process.send_signal(signal.SIGINT)
    err = caller.end(timeout=50)[2]
    assert f'job {job.id} is cancelled; `fanfold.get_job("{job.id}").retry()` runs the rest.' in err
    assert job.status == "Cancelled"
    assert job.counts() == {"cancelled": 2}


def test_a_ctrl_c_that_the_program_has_caught_ends_no_job(script, eventually):
    caller = script("""
        import time, fanfold

        def pause(x: int):
            import time
            time.sleep(1)
            return x

        job = fanfold.submit(pause, range(2), collect=False)
        print(job.id, flush=True)
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            print("caught", flush=True)
    """)
    job = fanfold.get_job(caller.line())
    eventually(lambda: len(job.running()) >= 1)
    caller.process.send_signal(signal.SIGINT)
    assert caller.line() == "caught"
    assert caller.end()[0] == 0
    assert job.results() == [0, 1]


ELSEWHERE = "import os\nthere = os.uname_result(['Linux', 'another-machine', '', '', ''])\nos.uname = lambda: there\n"


def _last_seen(sign, seconds_ago):
    then = time.time() - seconds_ago
    os.utime(sign, (then, then))


def test_a_job_of_another_machine_goes_on_as_long_as_that_shows_itself(script, eventually, home):
    """Whose caller had another host name: there is no process to look at, but the sign of its life."""
    second = "print(fanfold.submit(hang, range(2, 4), collect=False).id, flush=True)\njob.wait()\n"
    caller = script(ELSEWHERE + textwrap.dedent(HANGING) + second)
    job, other = fanfold.get_job(caller.line()), fanfold.get_job(caller.line())
    eventually(lambda: len(job.running()) >= 1)
    (sign,) = (home / "running").glob("*-*")
    os.utime(sign, (0, 0))
    assert job.status == "Running"  # on this kernel the lock is seen
    eventually(lambda: time.time() - sign.stat().st_mtime < 60)
    caller.process.kill()
    caller.process.wait()
    _last_seen(sign, 30)
    assert job.status == "Running"  # without the lock too, for it has shown itself
    _last_seen(sign, 11)
    other.cancel()  # which a machine that is there would have seen
    assert other.status == "Cancelled"
    _last_seen(sign, 61)
    assert job.status == "Failed"
    with pytest.raises(fanfold.RunLost, match="the process that ran it on another-machine has ended"):
        job.results()


def test_submit_from_within_a_run_is_refused_and_a_udf_called_there_is_a_plain_call():
    assert fanfold.submit(calls_another, [3], collect=False).results() == [30]
    with pytest.raises(RunFailed, match="NestedSubmitError") as error:
        fanfold.submit(submits, [3])
    assert error.value.error_type.endswith(NestedSubmitError.__name__)
    assert "call the UDF as a plain function" in str(error.value)


@fanfold.udf
def ten_times(x: int):
    return 10 * x


@fanfold.udf
def calls_another(x: int):
    return ten_times(x)


@fanfold.udf
def submits(x: int):
    import fanfold

    return fanfold.submit(ten_times, [x])


def test_a_pool_whose_workers_cannot_start_is_an_error_for_its_caller(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text("import os; os._exit(9)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(fanfold.ConfigurationError, match="end as soon as they start"):
        fanfold.submit(ten_times, range(5))
    monkeypatch.delenv("PYTHONPATH")
    assert fanfold.submit(ten_times, range(5), collect=False).results() == [0, 10, 20, 30, 40]


def test_an_error_that_ends_the_pools_thread_is_told_to_who_waits(monkeypatch):
    from fanfold.execution.pool.pool import Pool

    def broken(self):
        raise KeyError("a bug")

    monkeypatch.setattr(Pool, "step", broken)
    monkeypatch.setattr(threading, "excepthook", lambda told: None)
    with pytest.raises(fanfold.FanfoldError, match="KeyError: 'a bug'") as told:
        fanfold.submit(ten_times, range(5))
    assert isinstance(told.value.__cause__, KeyError)
    [job] = fanfold.get_jobs()
    with pytest.raises(fanfold.RunLost):  # and who comes later sees what became of it
        job.wait(timeout=120).results()


def test_each_run_starts_and_ends_once_in_the_log():
    job = fanfold.submit(ten_times, range(300), collect=False).wait()
    events, _ = fanfold.engines.base.engine_for().stores.log.read_since(job.id)
    finished = [event.index for event in events if event.kind is EventKind.FINISHED]
    assert sorted(finished) == list(range(300))
    assert {event.status for event in events if event.kind is EventKind.FINISHED} == {RunStatus.SUCCEEDED}
