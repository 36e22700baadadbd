"""What a job can be asked, and told to do."""

from __future__ import annotations

import sys
import threading

import pytest

import fanfold
from fanfold.core.models import Event, EventKind, RunStatus


def test_it_is_found_again_by_its_id(half_failed):
    again = fanfold.get_job(half_failed.id)
    assert (again.id, again.name, len(again), again.status) == (half_failed.id, "odd_only", 4, "Failed")


def test_an_id_that_nobody_has_is_an_error_that_names_near_ones(half_failed):
    with pytest.raises(fanfold.JobNotFound, match=half_failed.id):
        fanfold.get_job(half_failed.id[:-1] + "~")


@pytest.mark.parametrize("limit", [-2, 0, 1.5, "many"])
def test_a_limit_that_is_no_number_of_jobs_is_refused(limit):
    with pytest.raises(fanfold.InputError, match=r"limit=.* is not a whole number above 0"):
        fanfold.get_jobs(limit=limit)


def test_frames_that_make_no_one_frame_say_whose_they_are_and_are_not_lost():
    def placed(crs: int):
        import geopandas as gpd
        from shapely.geometry import Point

        return gpd.GeoDataFrame({"v": [crs]}, geometry=[Point(0, 0)], crs=crs)

    job = fanfold.submit(placed, [3857, 4326], collect=False)
    with pytest.raises(
        fanfold.InputError, match=rf"results of job {job.id} do not go .*: .*\n.*collect\(flatten=False"
    ):
        job.collect()
    assert len(job.collect(flatten=False)) == 2


def test_jobs_are_listed_newest_first_mine_or_the_team_s(half_failed):
    fanfold.configure(owner="somebody else")
    theirs = fanfold.get_jobs(owner=None)
    assert fanfold.get_jobs() == []
    newer = fanfold.submit(lambda_free, [1], collect=False)
    assert [job.id for job in fanfold.get_jobs()] == [newer.id]
    assert [job.id for job in fanfold.get_jobs(owner=None)] == [newer.id, *(job.id for job in theirs)]
    assert [job.id for job in fanfold.get_jobs(owner=None, limit=1)] == [newer.id]


def lambda_free(x: int):
    return x


def test_counts_leave_out_the_zeros(half_failed):
    assert half_failed.counts() == {"succeeded": 2, "failed": 2}


def test_status_goes_from_running_to_completed(held):
    job, release = held
    assert job.status == "Running"
    release()
    assert job.wait().status == "Completed"


def test_pending_and_running_tell_their_arguments(held, eventually):
    job, release = held
    eventually(lambda: list(job.running()) == [1])
    assert job.running()[1]["x"] == 1
    assert list(job.pending()) == [2, 3, 4, 5]
    release()
    job.wait()
    assert (job.running(), job.pending()) == ({}, {})


def test_wait_gives_up_after_its_timeout_and_the_job_goes_on(held, eventually):
    job, release = held
    eventually(job.running)
    with pytest.raises(fanfold.WaitTimeout, match=rf"{job.id} is not complete yet: .*running.*\n.*get_job"):
        job.wait(timeout=0.1)
    release()
    assert job.wait(timeout=120) is job


@pytest.mark.parametrize("timeout", ["5", -1, -0.5, float("nan"), True])
def test_a_timeout_is_a_number_of_seconds(half_failed, timeout):
    for asked in (half_failed.wait, half_failed.as_completed, half_failed.changes, half_failed.tail):
        with pytest.raises(fanfold.InputError, match=f"timeout={timeout!r} is not a number at least 0"):
            asked(timeout=timeout)
    assert half_failed.wait(timeout=0).id == half_failed.id


def test_a_yes_or_no_of_a_job_s_is_one(half_failed):
    refused = [
        lambda: half_failed.wait(progress="no"),
        lambda: half_failed.results(ignore_exceptions="no"),
        lambda: half_failed.results("no"),
        lambda: half_failed.collect(ignore_exceptions="no"),
        lambda: half_failed.collect(verbose="no"),
        lambda: half_failed.results_now("no"),
        lambda: half_failed.tail("no"),
        lambda: half_failed.cancel("no"),
    ]
    for asked in refused:
        with pytest.raises(fanfold.InputError, match="='no' is neither True nor False"):
            asked()


def test_as_completed_gives_each_run_once_as_it_ends(held):
    job, release = held
    runs = job.as_completed()
    assert next(runs).index == 0
    release()
    assert sorted(run.index for run in runs) == [1, 2, 3, 4, 5]


def test_as_completed_misses_none_where_its_caller_asks_the_job_in_between(held):
    job, release = held
    seen = []
    for run in job.as_completed():
        seen.append(run.index)
        release()
        job.wait()
    assert sorted(seen) == [0, 1, 2, 3, 4, 5]


def test_results_raise_the_first_failure_unless_told_otherwise(half_failed):
    with pytest.raises(fanfold.RunFailed, match="0 is even"):
        half_failed.results()
    assert half_failed.results(ignore_exceptions=True) == [1, 3]
    mixed = half_failed.results(return_exceptions=True)
    assert [type(value).__name__ for value in mixed] == ["RunFailed", "int", "RunFailed", "int"]


def test_one_result_waits_for_its_own_run_only(held):
    job, release = held
    threading.Timer(0.1, release).start()
    assert job.result(1) == 1


def test_one_result_raises_its_own_failure(half_failed):
    assert half_failed.result(1) == 1
    with pytest.raises(fanfold.RunFailed, match="2 is even"):
        half_failed.result(2)


def test_runs_are_reached_by_index_and_one_by_one(half_failed):
    run = half_failed[-1]
    assert (run.index, run.input, run.status, run.attempt) == (3, {"x": 3}, RunStatus.SUCCEEDED, 0)
    assert run.result() == 3
    assert run.usage is not None
    assert run.duration_s == run.usage.duration_s
    assert run.logs() == "looking at 3\n"
    assert [run.index for run in half_failed] == [0, 1, 2, 3]
    assert [run.error is None for run in half_failed] == [False, True, False, True]
    with pytest.raises(IndexError, match="has 4 runs"):
        half_failed[4]


@pytest.mark.parametrize("index", [4, -5, 99])
def test_a_run_that_is_not_there_is_named_wherever_it_is_asked_for(half_failed, index):
    for ask in (
        half_failed.__getitem__,
        half_failed.result,
        half_failed.error,
        half_failed.logs,
        half_failed.tail_logs,
    ):
        with pytest.raises(IndexError, match=rf"has 4 runs, numbered from 0; there is no run {index}$"):
            ask(index)


def test_runs_are_asked_for_by_number_and_jobs_by_text(half_failed):
    assert half_failed.error(-2).index == 2
    assert [run.index for run in half_failed[1:3]] == [1, 2]
    with pytest.raises(TypeError, match="by its number, not by 'x'"):
        half_failed.result("x")
    with pytest.raises(fanfold.InputError, match="3 is not a job's id"):
        fanfold.get_job(3)


def test_errors_are_all_there_by_index(half_failed):
    assert {index: error.input for index, error in half_failed.errors().items()} == {0: {"x": 0}, 2: {"x": 2}}
    assert half_failed.first_error().index == 0
    assert (half_failed.error(1), half_failed.error(2).index) == (None, 2)


def test_a_job_without_failures_has_no_errors():
    job = fanfold.submit(lambda_free, [1], collect=False).wait()
    assert (job.errors(), job.first_error()) == ({}, None)


@fanfold.udf
def never(x: int):
    raise ValueError("no")


def test_an_input_that_python_does_not_write_out_is_named_in_its_failure():
    job = fanfold.submit(never, [10**5000], collect=False).wait()
    assert "input: {'x': <an integer of 16,610 bits>}" in str(job.first_error())
    assert "<an integer of 16,610 bits>" in str(job[0].why())


def test_times_are_seconds_that_print_as_such(half_failed):
    assert len(half_failed.times()) == 4
    assert all(str(seconds).endswith(("µs", " ms", " s")) for seconds in half_failed.times())
    again = fanfold.submit(lambda_free, [1, 1], collect=False).wait()
    assert None not in again.times()
    assert fanfold.submit(lambda_free, [1], collect=False).wait().times() == [None]


def test_usage_has_a_row_a_run_that_ended(half_failed):
    usage = half_failed.usage()
    assert list(usage.columns) == ["status", "duration_s", "cpu_s", "peak_memory_mib"]
    assert list(usage.status) == ["failed", "succeeded", "failed", "succeeded"]
    assert (usage.peak_memory_mib > 0).all()


def test_a_dedicated_job_s_load_is_sampled(eventually, tmp_path):
    @fanfold.udf
    def busy(gate: str):
        import os
        import time

        while not os.path.exists(gate):
            time.sleep(0.02)

    job = fanfold.submit(busy, [str(tmp_path / "gate")], instance_type="small", collect=False)
    eventually(lambda: len(job.usage(samples=True)))
    (tmp_path / "gate").touch()
    samples = job.wait().usage(samples=True)
    assert {"at", "run", "cpu_percent", "memory_mib"} <= set(samples.columns)


def test_what_went_over_a_machine_s_network_is_in_its_samples(half_failed):
    sample = {"cpu_percent": 50.0, "memory_mib": 10.0, "network_in_mib": 3.5, "network_out_mib": 0.5}
    log = half_failed.tracker.engine.stores.log
    log.append([Event.new(half_failed.id, 0, 0, EventKind.USAGE, data=sample)])
    told = half_failed.usage(samples=True).iloc[-1]
    assert (told.network_in_mib, told.network_out_mib) == (3.5, 0.5)


def test_runs_on_this_machine_cost_nothing(half_failed):
    assert str(half_failed.cost()) == "$0.00"


def test_the_inputs_are_a_frame(half_failed):
    assert half_failed.arg_df().to_dict("list") == {"x": [0, 1, 2, 3]}


def test_logs_are_a_list_that_prints_run_by_run(half_failed):
    logs = half_failed.logs()
    assert logs[3] == half_failed.logs(3) == "looking at 3\n"
    assert str(logs) == "".join(f"[{x}] looking at {x}\n" for x in range(4))


def test_tail_logs_prints_what_runs_print_until_the_job_ends(half_failed, capsys):
    half_failed.tail_logs()
    assert sorted(capsys.readouterr().out.splitlines()) == [f"[{x}] looking at {x}" for x in range(4)]
    half_failed.tail_logs(2)
    assert capsys.readouterr().out == "looking at 2\n"


def test_cancel_ends_what_runs_and_keeps_what_is_done(held):
    job, _ = held
    assert job.cancel() is job
    assert job.status == "Cancelled"
    assert job.counts() == {"succeeded": 1, "cancelled": 5}
    assert list(job.cancelled()) == [1, 2, 3, 4, 5]
    assert isinstance(job.first_error(), fanfold.RunCancelled)


def test_cancelling_what_has_ended_changes_nothing(half_failed):
    before = half_failed.counts()
    half_failed.cancel()
    assert (half_failed.status, half_failed.counts()) == ("Failed", before)


def test_cancel_need_not_wait(held):
    job, _ = held
    job.cancel(wait=False)
    assert job.wait(timeout=120).status == "Cancelled"


def test_what_was_just_cancelled_is_taken_up_again(held):
    job, release = held
    job.cancel(wait=False)
    release()
    assert job.retry().wait().status == "Completed"


def test_retry_is_refused_while_the_job_runs(held):
    job, _ = held
    with pytest.raises(fanfold.InputError, match="still runs"):
        job.retry()


def test_retry_runs_only_what_failed(tmp_path):
    @fanfold.udf
    def noting(x: int, folder: str):
        import pathlib
        import uuid

        place = pathlib.Path(folder)
        (place / f"{x}-{uuid.uuid4()}").touch()
        if x == 1 and len(list(place.glob("1-*"))) == 1:
            raise OSError("the first time")
        return x

    job = fanfold.submit(noting, range(3), folder=str(tmp_path), collect=False).wait()
    assert job.counts() == {"succeeded": 2, "failed": 1}
    assert job.retry().results() == [0, 1, 2]
    assert sorted(path.name[0] for path in tmp_path.iterdir()) == ["0", "1", "1", "2"]
    assert job[1].attempt == 1
    assert "1 run was tried again" in str(job.summary())


def test_retry_of_a_complete_job_changes_nothing():
    job = fanfold.submit(lambda_free, [1], collect=False).wait()
    assert job.retry().status == "Completed"


def test_verify_proves_that_all_is_there(half_failed):
    receipt = half_failed.verify()
    assert receipt
    assert (receipt.results, receipt.failed) == (2, [0, 2])
    assert "complete, 2 of 4 runs without a result" in str(receipt)
    assert "4 of 4 runs have ended, 2 without a result" in str(receipt)


def test_verify_says_what_has_not_ended(held):
    job, _ = held
    receipt = job.verify()
    assert not receipt
    assert receipt.missing == [1, 2, 3, 4, 5]
    assert "NOT complete" in str(receipt)


def test_a_damaged_result_is_named_and_healed_by_the_same_submit(home):
    def large(x: int):
        return bytes([x]) * 100_000

    job = fanfold.submit(large, [1, 2], collect=False).wait()
    files = [path for path in (home / "objects" / "results").rglob("*") if path.is_file()]
    for path in files:
        path.chmod(0o600)
        path.write_bytes(b"damaged")
    assert sorted(job.verify().damaged) == [0, 1]
    with pytest.raises(fanfold.ResultDamaged, match=r"run 0 .*is damaged"):
        job.results()
    assert fanfold.submit(large, [1], collect=False).results() == [bytes([1]) * 100_000]


@pytest.mark.parametrize("how", ["results", "verify"])
def test_many_damaged_results_are_healed_by_one_submit(home, how):
    def large(x: int):
        return bytes([x]) * 100_000

    job = fanfold.submit(large, [1, 2, 3, 4], collect=False).wait()
    for index in (1, 3):
        path = home / "objects" / job.state.output(index).key
        path.chmod(0o600)
        path.write_bytes(b"damaged")
    if how == "verify":
        assert "the same submit computes again" in str(job.verify())
    else:
        with pytest.raises(fanfold.ResultDamaged, match=r"run 1 .*is damaged.* 1 other result is damaged as well"):
            job.results()
    again = fanfold.submit(large, [1, 2, 3, 4], collect=False)
    assert again.results() == [bytes([x]) * 100_000 for x in (1, 2, 3, 4)]
    assert again.counts() == {"cached": 2, "succeeded": 2}


def test_an_interrupt_cancels_the_call_s_own_job(monkeypatch):
    def napping(x: int):
        import time

        time.sleep(30)

    from fanfold.engines.local.engine import LocalEngine

    waits = iter([KeyboardInterrupt])
    wait_for_news = LocalEngine.wait_for_news

    def interrupted_once(engine, timeout_s):
        for interrupt in waits:
            raise interrupt
        return wait_for_news(engine, timeout_s)

    monkeypatch.setattr(LocalEngine, "wait_for_news", interrupted_once)
    with pytest.raises(
        KeyboardInterrupt, match=r"^job .* is cancelled: 3 cancelled; the same submit runs only the rest"
    ) as interrupted:
        fanfold.submit(napping, range(3))
    if sys.version_info >= (3, 11):  # its message says all: what Fanfold was just doing does not matter
        assert len(interrupted.traceback) == 1
    assert fanfold.get_jobs(limit=1)[0].counts() == {"cancelled": 3}


def test_a_forgotten_result_s_error_names_the_next_step(half_failed):
    assert "Next: fix the UDF" in str(half_failed.first_error())
