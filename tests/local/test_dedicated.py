"""`instance_type=...` on this machine: a process of its own that outlives the one that asked for it."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

import fanfold
from fanfold.core.models import EventKind
from fanfold.engines.base import engine_for
from fanfold.stores import disk
from fanfold.stores.state import read_state
from tests.conftest import is_gone, worker_processes


@fanfold.udf(instance_type="small")
def wait_for(path: str):
    import os
    import time

    print("pid", os.getpid(), flush=True)
    while not os.path.exists(path):
        time.sleep(0.01)
    return os.getpid()


SUBMITTER = """
    import sys, fanfold

    @fanfold.udf
    def wait_for(path: str):
        import os, time
        print("pid", os.getpid(), flush=True)
        while not os.path.exists(path):
            time.sleep(0.01)
        import psutil
        return [os.getpid(), psutil.Process(os.getppid()).ppid()]

    print(fanfold.submit(wait_for, sys.argv[1:], collect=False, instance_type="small").id, flush=True)
"""


def runner_of(job):
    """The process that carries a job out; None where there is none."""
    for process in psutil.process_iter(["cmdline"]):  # any other that ends meanwhile is left out
        words = process.info["cmdline"] or []
        if job.id in words and "runner" in " ".join(words) and not is_gone(process.pid):
            return process
    return None


def test_it_outlives_its_caller_and_any_process_can_look_at_it(script, eventually, tmp_path):
    submitter = script(SUBMITTER, tmp_path / "go")
    job = fanfold.get_job(submitter.line())
    assert submitter.end()[0] == 0
    assert job.header.timeout_s is None
    printed = eventually(lambda: job.logs(0))
    assert job.status == "Running"
    runner = runner_of(job)
    (tmp_path / "go").touch()
    worker, parent = job.result(0)
    assert printed == f"pid {worker}\n"
    assert parent == runner.pid
    assert job.status == "Completed"
    eventually(lambda: is_gone(runner.pid) and is_gone(worker))


def test_tail_logs_follows_it_to_its_end(tmp_path, capsys, eventually):
    job = fanfold.submit(wait_for, [str(tmp_path / "go")], collect=False)
    eventually(lambda: job.logs(0))
    (tmp_path / "go").touch()
    job.tail_logs()
    assert capsys.readouterr().out == f"[0] pid {job.result(0)}\n"


def test_its_load_is_told_every_second(tmp_path, eventually):
    def spin(path: str):
        import os

        block = bytearray(b"x" * 2**26)
        while not os.path.exists(path):
            pass
        return len(block)

    job = fanfold.submit(spin, [str(tmp_path / "go")], collect=False, instance_type="small")
    eventually(lambda: len(told := job.usage(samples=True)) >= 2 and told["cpu_percent"].max() > 10)
    (tmp_path / "go").touch()
    job.wait()
    samples = job.usage(samples=True)
    assert samples["memory_mib"].max() > 64
    assert samples["cpu_percent"].max() > 10
    assert samples["disk_free_mib"].min() > 0
    assert set(samples["run"]) == {0}


def test_cancel_from_another_process_ends_it(script, eventually, tmp_path):
    submitter = script(SUBMITTER, *[tmp_path / "never"] * 5)
    job = fanfold.get_job(submitter.line())
    submitter.end()
    eventually(lambda: job.logs(0))
    runner = runner_of(job)
    family = runner.children()
    job.cancel()
    assert job.counts() == {"cancelled": 5}
    eventually(lambda: all(is_gone(process.pid) for process in [runner, *family]))


def test_kill_9_of_its_process_is_noticed_and_its_runs_are_started_again(tmp_path, eventually, monkeypatch):
    job = fanfold.submit(wait_for, [str(tmp_path / "go"), str(tmp_path / "go")], collect=False, max_workers=1)
    eventually(lambda: job.logs(0))
    first = runner_of(job)
    family = first.children()
    first.kill()
    eventually(lambda: all(is_gone(process.pid) for process in [first, *family]))
    # Not while the disk is full, which ended it: the next would end the same way.
    engine_for().stores.runner_log(job.id).write_text("fanfold.errors.StoreFull: No room left in ...\nNext: free some")
    with monkeypatch.context() as full:
        full.setattr(disk, "free_bytes", lambda _: 4 << 20)
        with pytest.raises(fanfold.StoreFull, match=f"No room left in .* job {job.id}") as told:
            job.wait(progress=False)
        assert f"fanfold status {job.id}" in told.value.next_step
        assert len(job.state.job_events(EventKind.RUNNER)) == 1
    eventually(lambda: job.counts() == {"running": 1, "queued": 1} and "attempt 1" in job.logs(0))
    assert runner_of(job).pid != first.pid
    (tmp_path / "go").touch()
    assert len(job.results()) == 2
    assert [run.attempt for run in job] == [1, 0]


def test_it_is_started_again_only_max_retry_times(tmp_path, eventually):
    job = fanfold.submit(wait_for, [str(tmp_path / "never")], collect=False, max_retry=1)
    for attempt in range(2):
        eventually(lambda attempt=attempt: job.counts() == {"running": 1} and job[0].attempt == attempt)
        runner_of(job).kill()
    eventually(lambda: job.status == "Failed")
    assert job.counts() == {"lost": 1}
    with pytest.raises(fanfold.RunLost, match="has ended"):
        job.results()
    (tmp_path / "never").touch()
    assert len(job.retry().results()) == 1


def test_attempts_are_counted_on_when_another_process_takes_over(tmp_path, eventually):
    def hang_then_die(folder: str):
        import os
        import tempfile
        import time

        tempfile.mkstemp(dir=folder)
        if len(os.listdir(folder)) == 1:
            time.sleep(60)
        os._exit(1)

    job = fanfold.submit(hang_then_die, [str(tmp_path)], collect=False, instance_type="small", max_retry=2)
    eventually(lambda: job.counts() == {"running": 1} and os.listdir(tmp_path))
    runner_of(job).kill()
    assert job.wait(timeout=120).counts() == {"failed": 1}
    runner = runner_of(job)
    eventually(lambda: runner is None or is_gone(runner.pid))
    assert len(os.listdir(tmp_path)) == 3


def test_a_worker_that_dies_there_is_replaced(tmp_path):
    def die_once(folder: str):
        import os
        import tempfile

        tempfile.mkstemp(dir=folder)
        if len(os.listdir(folder)) == 1:
            os._exit(1)
        return "second try"

    assert fanfold.submit(die_once, [str(tmp_path)], collect=False, instance_type="small").results() == ["second try"]


@pytest.mark.parametrize(("machines", "processes"), [(1, 2), (2, 1), (1, 1)])
def test_machines_and_processes_on_each_bound_the_runs_side_by_side(tmp_path, eventually, machines, processes):
    paths = [str(tmp_path / "go")] * 4
    job = fanfold.submit(wait_for, paths, collect=False, max_workers=machines, n_processes_per_worker=processes)
    eventually(lambda: job.counts().get("running") == machines * processes)
    workers = worker_processes(runner_of(job))
    assert len(workers) == machines * processes
    (tmp_path / "go").touch()
    assert set(job.results()) <= {worker.pid for worker in workers}


def test_nothing_is_started_where_all_comes_from_the_cache(tmp_path):
    (tmp_path / "go").touch()
    first = fanfold.submit(wait_for, [str(tmp_path / "go")], collect=False).results()
    again = fanfold.submit(wait_for, [str(tmp_path / "go")], collect=False)
    assert again.results() == first
    assert [event.kind.value for event in again.state.job_events()] == ["cache"]


def test_it_ends_where_its_home_is_removed(home, tmp_path, eventually):
    import shutil

    job = fanfold.submit(wait_for, [str(tmp_path / "never")], collect=False)
    eventually(lambda: job.logs(0))
    runner = runner_of(job)
    family = runner.children()
    fanfold.engines.base.engine_for().close()
    shutil.rmtree(home)
    eventually(lambda: all(is_gone(process.pid) for process in [runner, *family]))


def test_a_runner_that_was_stopped_by_hand_is_told_from_one_that_is_gone(tmp_path, eventually):
    job = fanfold.submit(wait_for, [str(tmp_path / "go")], collect=False)
    eventually(lambda: job.logs(0))
    runner = runner_of(job)
    os.kill(runner.pid, signal.SIGSTOP)
    assert job.status == "Running"
    os.kill(runner.pid, signal.SIGCONT)
    (tmp_path / "go").touch()
    assert len(job.results()) == 1


@pytest.mark.parametrize("too_much", [False, True], ids=["to its end", "until runs fail"])
def test_a_ramp_and_larger_machines_need_no_caller(script, eventually, too_much):
    submitter = script(
        """
        import os, signal, sys, fanfold

        @fanfold.udf(memory_mib=300)
        def hungry(x: int, fails: str):
            import time
            if fails == "True" and x == 2:
                raise ValueError("too much")
            held = bytearray((900 if x == 4 else 1) << 20)
            time.sleep(0.5 if x == 4 else 0)
            return len(held) >> 20

        given = {"instance_type": "small", "ramp": (1, 3), "escalate": "medium"}
        print(fanfold.submit(hungry, range(6), fails=sys.argv[1], collect=False, **given).id, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        too_much,
    )
    job = fanfold.get_job(submitter.line())
    submitter.end()
    log = engine_for().stores.log
    state = eventually(lambda: (now := read_state(log, log.get_job(job.id))).done and now, within_s=60)  # nobody looks
    if too_much:
        assert state.stop_reason == "the ramp stopped after 3 of 6 runs: 1 of 3 runs failed"
        assert job.counts() == {"succeeded": 2, "failed": 1, "cancelled": 3}
    else:
        assert job.results() == [1, 1, 1, 1, 900, 1]
