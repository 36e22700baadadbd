"""Waiting for a job while its store does not answer, or no longer lets its reader in."""

from __future__ import annotations

import copy
import threading
import time

import pytest

import fanfold
from fanfold.cli.app import app
from fanfold.cli.exits import ExitCode, code_for
from fanfold.engines.base import engine_for
from fanfold.errors import SignInNeeded, StoreUnavailable, WaitTimeout
from fanfold.job.waiting import waiting_for


@fanfold.udf
def squared(x: int):
    return x * x


@pytest.fixture
def log(monkeypatch):
    """The local engine's event log, whose reads fail while `broken` says how."""

    class Silent:
        broken: Exception | None = None
        asked = 0

    state, real = Silent(), engine_for().stores.log.read_since

    def read(*arguments, **named):
        if state.broken is not None:
            state.asked += 1
            raise copy.copy(state.broken)  # a wait adds its job to the error
        return real(*arguments, **named)

    monkeypatch.setattr(engine_for().stores.log, "read_since", read)
    monkeypatch.setattr("fanfold.job.waiting._SILENCE_S", 0.01)
    return state


def unreachable():
    """An error of its own each time: the job that it names is a part of it."""
    return StoreUnavailable("AWS did not answer dynamodb:Query on table t: no route.", next_step="check it.")


def test_a_wait_outlasts_a_store_that_does_not_answer(log):
    job = fanfold.submit(squared, range(4), collect=False, cache=False)
    seen = []

    def idle(state):
        seen.append(waiting_for(state))
        if log.asked > 20:
            log.broken = None

    log.broken = unreachable()
    for state in job.changes(idle=idle):
        last = state
    assert last.done
    assert last.silence == ""
    assert seen[0].startswith("no answer since ")
    assert "trying again (AWS did not answer dynamodb:Query on table t: no route)" in seen[0]
    assert job.results() == [0, 1, 4, 9]


def test_a_wait_with_a_timeout_says_since_when_nothing_has_answered(log):
    job = fanfold.submit(squared, range(2), collect=False, cache=False)
    log.broken = unreachable()
    began = time.monotonic()
    with pytest.raises(WaitTimeout, match="no answer since"):
        job.wait(timeout=0.3)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("ask", ["as_completed", "results", "collect"])
def test_results_come_through_a_silence(log, monkeypatch, ask):
    job = fanfold.submit(squared, range(4), collect=False, cache=False)
    log.broken = unreachable()
    real = time.sleep

    def sleep(seconds):
        if log.asked > 20:
            log.broken = None
        real(seconds)

    monkeypatch.setattr("fanfold.job.waiting.time.sleep", sleep)
    if ask == "as_completed":
        found = sorted(run.result() for run in job.as_completed())
    elif ask == "collect":
        found = list(job.collect()["result"])
    else:
        found = job.results()
    assert log.asked > 20
    assert found == [0, 1, 4, 9]


def silent_for(monkeypatch, owner, name, times):
    """Have so many of a client's coming calls of a method get no answer; what is left of them."""
    left, real = [unreachable() for _ in range(times)], getattr(owner, name)

    def ask(*arguments, **named):
        thread = threading.current_thread()  # the local engine's own are no clients
        if left and (thread is threading.main_thread() or thread.name.startswith("fanfold-executor")):
            raise left.pop()
        return real(*arguments, **named)

    monkeypatch.setattr(owner, name, ask)
    return left


def test_runs_and_their_results_are_looked_at_through_a_silence(log, monkeypatch):
    job = fanfold.submit(bytes, [9000, 10_000], collect=False, cache=False).wait()
    again, stores = fanfold.get_job(job.id), engine_for().stores
    silences = [silent_for(monkeypatch, stores.log, "read_since", 3), silent_for(monkeypatch, stores.objects, "get", 3)]
    assert [len(run.result()) for run in again] == [9000, 10_000]
    assert silences == [[], []]


def test_a_call_of_one_run_and_what_it_prints_outlast_a_silence(log, monkeypatch, capsys):
    @fanfold.udf
    def talks(x: int):
        print("hello from", x)
        return x * x

    stores = engine_for().stores
    monkeypatch.setattr("fanfold.job.logs._OUTPUT_S", 0.0)
    silences = [silent_for(monkeypatch, stores.log, "read_since", 12)]
    assert fanfold.run(talks, x=7, cache=False) == 49
    assert silences == [[]]
    assert capsys.readouterr().out == "hello from 7\n"


@fanfold.udf(max_retry=0)
def odd_fails(x: int):
    if x % 2:
        raise ValueError(f"{x} is odd")
    return bytes(9000)


def test_why_runs_failed_and_what_they_were_given_are_read_through_a_silence(log, monkeypatch):
    job = fanfold.submit(odd_fails, range(4), collect=False, cache=False).wait()
    objects = engine_for().stores.objects
    silence = silent_for(monkeypatch, objects, "get_range", 2)
    assert sorted(map(str, fanfold.get_job(job.id).collect(ignore_exceptions=True).index)) == ["0", "2"]
    assert silence == []
    silence = silent_for(monkeypatch, objects, "get_range", 2)
    assert "1 is odd" in str(fanfold.get_job(job.id).results(return_exceptions=True)[1])
    assert silence == []
    silence = silent_for(monkeypatch, objects, "get_range", 2)
    with pytest.raises(fanfold.RunFailed, match="1 is odd"):
        fanfold.get_job(job.id).results()
    assert silence == []


@pytest.mark.parametrize("asked", ["submit", "map"])
def test_an_executor_s_calls_outlast_a_silence_in_each_of_their_phases(log, monkeypatch, asked):
    monkeypatch.setattr("fanfold.api.executor_jobs._PAUSE_S", 0.01)
    engine = engine_for()
    silences = [
        silent_for(monkeypatch, engine.stores.log, "put_job", 3),
        silent_for(monkeypatch, engine.stores.log, "read_since", 5),
    ]
    with fanfold.Executor(cache=True) as executor:
        if asked == "map":
            found = list(executor.map(bytes, [9000, 10_000]))
        else:
            found = [executor.submit(bytes, size).result(timeout=60) for size in (9000, 10_000)]
    assert [len(one) for one in found] == [9000, 10_000]
    assert silences == [[]] * 2
    assert len(fanfold.get_jobs()) <= 2  # to submit the calls again would have made more


@pytest.mark.parametrize("patience_s", [0.0, 0.5])  # over with the first error, and after many that name no job
def test_an_executor_that_reaches_no_store_any_more_fails_its_calls_by_the_job_s_name(log, monkeypatch, patience_s):
    monkeypatch.setattr("fanfold.api.executor_jobs._PAUSE_S", 0.01)
    monkeypatch.setattr("fanfold.api.executor_jobs._PATIENCE_S", patience_s)
    engine = engine_for()
    silent_for(monkeypatch, engine, "start", 1)
    silent_for(monkeypatch, engine.stores.log, "get_job", 10_000)
    with fanfold.Executor(cache=True) as executor:
        future = executor.submit(abs, -1)
        with pytest.raises(StoreUnavailable) as caught:
            future.result(timeout=60)
    [job] = fanfold.get_jobs(limit=1)
    assert f"Job {job.id} has not started as a whole." in caught.value.message
    assert f'`fanfold.get_job("{job.id}").wait()` starts it' in caught.value.next_step


@pytest.mark.parametrize("follow", ["tail_logs", "logs -f"])
def test_logs_are_followed_through_a_silence(log, capsys, follow):
    @fanfold.udf
    def talks(x: int):
        print("hello from", x)

    job = fanfold.submit(talks, [7], collect=False, cache=False)
    job.wait()
    log.broken = unreachable()

    real = engine_for().stores.log.read_since

    def heals(*arguments, **named):
        if log.asked >= 5:
            log.broken = None
        return real(*arguments, **named)

    engine_for().stores.log.read_since = heals
    if follow == "tail_logs":
        fanfold.get_job(job.id).tail_logs()
    else:
        app(["logs", "-f", job.id], standalone_mode=False)
    assert "hello from 7" in capsys.readouterr().out
    assert log.asked >= 5


def test_what_ends_a_wait_names_the_job_and_how_to_come_back(log):
    job = fanfold.submit(squared, range(3), collect=False, cache=False)
    log.broken = SignInNeeded("The AWS credentials in use have expired.", next_step="sign in again (`aws sso login`).")
    with pytest.raises(SignInNeeded) as caught:
        job.wait()
    assert caught.value.job_id == job.id
    assert f"Job {job.id} goes on meanwhile." in caught.value.message
    assert f'fanfold.get_job("{job.id}").wait()' in caught.value.next_step
    assert code_for(caught.value) is ExitCode.INCOMPLETE
    with pytest.raises(SignInNeeded) as again:  # the same error, told once
        job.wait()
    assert again.value.message.count(job.id) == 1
    log.broken = None
    assert job.wait().results() == [0, 1, 4]


@pytest.mark.parametrize("ask", ["status", "counts", "summary", "logs", "cancel", "retry", "errors"])
def test_whatever_is_asked_of_a_job_in_vain_names_it(log, ask):
    job = fanfold.submit(squared, range(3), collect=False, cache=False).wait()
    log.broken = StoreUnavailable("AWS did not answer.", next_step="check the network.")
    again = fanfold.get_job(job.id)
    with pytest.raises(StoreUnavailable) as caught:
        getattr(again, ask)()  # of the status, which is an attribute, the first half
    assert job.id in str(caught.value)
    assert caught.value.next_step.startswith("check the network; then `fanfold")
    assert code_for(caught.value) is ExitCode.INCOMPLETE


@pytest.mark.parametrize(("step", "asked"), [("start", {}), ("follow", {"ramp": True})])
@pytest.mark.parametrize("error", [unreachable(), SignInNeeded("Expired.", next_step="sign in again.")])
def test_a_job_that_is_written_down_and_cannot_be_started_is_named(monkeypatch, error, step, asked):
    """To call again would have it twice."""
    engine = engine_for()

    def fail(*_):
        raise copy.copy(error)

    with monkeypatch.context() as patched:
        patched.setattr(engine, step, fail)
        with pytest.raises(type(error)) as caught:
            fanfold.submit(squared, range(3), cache=False, **asked)
    [job] = fanfold.get_jobs(limit=1)
    assert f"Job {job.id} has not started as a whole." in caught.value.message
    assert f'`fanfold.get_job("{job.id}").wait()` starts it' in caught.value.next_step
    assert code_for(caught.value) is ExitCode.INCOMPLETE


def test_a_retry_that_cannot_be_started_names_the_job_and_leaves_nothing_queued(monkeypatch):
    @fanfold.udf(max_retry=0)
    def fails(x: int):
        raise OSError("no such scene")

    job = fanfold.submit(fails, [1], collect=False, cache=False).wait()
    engine = engine_for()

    def fail(*_):
        raise unreachable()

    with monkeypatch.context() as patched:
        patched.setattr(engine, "start", fail)
        with pytest.raises(StoreUnavailable) as caught:
            job.retry()
    assert f"`fanfold retry {job.id}` starts what is left of it" in caught.value.next_step
    assert job.status == "Cancelled"


def test_what_could_not_be_stopped_is_stopped_by_cancelling_again(monkeypatch, tmp_path):
    @fanfold.udf
    def waits(folder: str):
        import time
        from pathlib import Path

        while not (Path(folder) / "go").exists():
            time.sleep(0.01)

    job = fanfold.submit(waits, [str(tmp_path)], collect=False, cache=False)
    engine, stopped = engine_for(), []

    def fail(*_):
        raise unreachable()

    with monkeypatch.context() as patched:
        patched.setattr(engine, "cancel", fail)
        with pytest.raises(StoreUnavailable, match="again ends what is left of it"):
            job.cancel()
    job.wait()
    monkeypatch.setattr(engine, "cancel", lambda header: stopped.append(header.id))
    fanfold.get_job(job.id).cancel()
    app(["cancel", job.id], standalone_mode=False)
    assert stopped == [job.id] * 2


def test_an_error_before_anything_was_started_is_one_of_usage():
    assert code_for(SignInNeeded("There are no AWS credentials.")) is ExitCode.USAGE
