"""Full disks, damaged results and stores of another time: a clear error, and nothing that was kept is harmed."""

from __future__ import annotations

import resource
import sqlite3

import pytest

import fanfold
from fanfold.engines.base import engine_for
from fanfold.errors import ResultDamaged, StoreFull, StoreTooNew


@fanfold.udf
def produce(size: int):
    return b"z" * size


FILLER = """
    import sys, fanfold

    @fanfold.udf
    def produce(size: int):
        return b"z" * size

    first = fanfold.submit(produce, [20_000, 30_000], collect=False)
    assert [len(value) for value in first.results()] == [20_000, 30_000]
    print(first.id, flush=True)
    job = fanfold.submit(produce, [25_000, 9_000_000, 26_000], collect=False)
    try:
        job.results()
    except fanfold.StoreFull as error:
        print("StoreFull", error.message, "|", error.next_step, flush=True)
    assert [len(value) for value in first.results()] == [20_000, 30_000]
    if len(sys.argv) > 1:
        print(job.status, flush=True)
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        fanfold.engines.base.engine_for().close()
        print([len(value) for value in job.retry().results()], flush=True)
"""


def files_of_at_most_a_megabyte():
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, resource.RLIM_INFINITY))


LIVES_ON = """
    import pathlib, sys, time, fanfold

    def produce(size: int):
        return b"z" * size

    job = fanfold.submit(produce, [9_000_000], cache=False, collect=False)
    print(job.id, flush=True)
    while not pathlib.Path(sys.argv[1]).exists():
        time.sleep(0.02)

    def produce(size: int):
        time.sleep(3)  # as long as it takes to be asked whether this process has given it up
        return b"z" * 3

    print(job.retry(produce).results(), flush=True)
"""


def test_who_waits_in_another_process_is_told_that_a_living_one_has_given_the_job_up(script, tmp_path):
    living = script(LIVES_ON, tmp_path / "go on", preexec_fn=files_of_at_most_a_megabyte)
    job = fanfold.get_job(living.line())
    with pytest.raises(fanfold.RunFailed, match="has given it up"):
        job.wait(timeout=60).results()
    (tmp_path / "go on").touch()
    assert living.end() == (0, "[b'zzz']\n", "")


def test_no_room_for_a_result_is_raised_in_the_caller_and_harms_nothing_earlier(script, home):
    filler = script(FILLER, preexec_fn=files_of_at_most_a_megabyte)
    first = filler.line()
    code, out, err = filler.end()
    assert (code, err) == (0, "")
    assert out.startswith("StoreFull No room left in ")
    assert "a result of 9,000,000 bytes could not be written: File too large" in out
    assert "| free some disk space" in out
    assert fanfold.get_job(first).verify().complete
    assert [len(value) for value in fanfold.get_job(first).results()] == [20_000, 30_000]
    assert not list(home.glob("scratch/**/*.result"))


def test_a_job_that_found_no_room_can_be_retried_when_there_is_some(script):
    filler = script(FILLER, "and retry", preexec_fn=files_of_at_most_a_megabyte)
    code, out, err = filler.end()
    assert (code, err) == (0, "")
    assert out.split("\n")[-3:] == ["Failed", "[25000, 9000000, 26000]", ""]


def test_no_room_for_the_inputs_is_raised_before_anything_starts(script):
    caller = script(
        """
        import fanfold

        def length(text: str):
            return len(text)

        for inputs in (["x" * 4000] * 1000, [str(n) * 60 for n in range(10_000)]):
            try:
                fanfold.submit(length, inputs)
            except fanfold.StoreFull as error:
                print(error.message, "|", error.next_step, flush=True)
        assert fanfold.get_jobs() == []
        """,
        preexec_fn=files_of_at_most_a_megabyte,
    )
    code, out, err = caller.end()
    assert (code, err) == (0, "")
    assert out.count("No room left in ") == 2
    assert out.count("`fanfold remove --older-than 7d`") == 2


def test_a_home_that_cannot_be_written_is_told_with_what_to_do(home):
    home.mkdir(parents=True)
    (home / "running").write_text("where signs of life are kept")
    with pytest.raises(fanfold.StoreError, match="running cannot be used for Fanfold's stores: File exists") as error:
        fanfold.submit(produce, [1])
    assert "FANFOLD_HOME" in error.value.next_step


def test_a_disk_that_is_full_for_the_log_itself_is_raised_too(monkeypatch):
    from fanfold.stores.local.log import SqliteEventLog

    append = SqliteEventLog.append

    def full(self, events, **also):
        if any(event.output for event in events):
            raise StoreFull("No room left for fanfold.db.", next_step="free some disk space.")
        return append(self, events, **also)

    with monkeypatch.context() as patched:
        patched.setattr(SqliteEventLog, "append", full)
        job = fanfold.submit(produce, range(100), collect=False)
        with pytest.raises(StoreFull, match=r"fanfold\.db"):
            job.results()
    assert job.wait(timeout=120).status == "Failed"  # it is told once; who asks again learns what became of the runs
    assert fanfold.submit(produce, [5], collect=False).results() == [b"zzzzz"]


def the_one_result_of(home):
    (path,) = (path for path in home.glob("objects/results/**/*") if path.is_file())
    return path


@pytest.mark.parametrize("damage", ["other bytes", "cut short", "gone"])
def test_a_damaged_result_is_named_and_the_next_submit_heals_it(home, damage):
    job = fanfold.submit(produce, [5, 50_000], collect=False)
    job.wait()
    path = the_one_result_of(home)
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(b"z" * 49_999 + (b"!" if damage == "other bytes" else b""))
    receipt = job.verify()
    assert not receipt.complete
    assert list(receipt.damaged) == [1]
    assert f"The result of run 1 of job {job.id}" in receipt.damaged[1]
    with pytest.raises(ResultDamaged, match=f"The result of run 1 of job {job.id}"):
        job.collect()
    healed = fanfold.submit(produce, [5, 50_000], collect=False)
    assert [len(value) for value in healed.results()] == [5, 50_000]
    assert healed.counts() == {"cached": 1, "succeeded": 1}
    assert healed.verify().complete


def test_a_store_of_a_newer_version_is_refused(home):
    fanfold.submit(produce, [1])
    engine_for().close()
    fanfold.engines.base.open_engines.clear()
    connection = sqlite3.connect(home / "fanfold.db")
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(StoreTooNew, match="written by a newer Fanfold: its format is 99"):
        fanfold.submit(produce, [1])


def test_large_results_of_tens_of_megabytes_arrive_whole():
    job = fanfold.submit(produce, [10_000_000, 20_000_000], collect=False)
    assert [len(value) for value in job.results()] == [10_000_000, 20_000_000]
    assert job.verify().result_bytes == 30_000_000


def zeros(gigabytes: float):
    import numpy

    return numpy.ones(int(gigabytes * 2**27))  # eight bytes each


def test_a_result_beyond_the_memory_limit_is_out_of_memory_and_harms_no_other():
    limited = fanfold.udf(zeros, memory_mib=512)
    job = fanfold.submit(limited, [1.0, 0.001], collect=False, cache=False).wait()
    assert job.counts() == {"succeeded": 1, "out_of_memory": 1}
    assert len(job.result(1)) == int(0.001 * 2**27)


@pytest.mark.long
@pytest.mark.slow
def test_half_a_gigabyte_returned_is_a_result():
    job = fanfold.submit(zeros, [0.5], collect=False, cache=False)
    assert job.result(0).nbytes == 2**29


def test_a_store_that_somebody_holds_is_told_and_the_same_submit_runs_only_what_is_missing(home, monkeypatch, tmp_path):
    monkeypatch.setattr("fanfold.stores.local.log._BUSY_TIMEOUT_S", 1.0)
    go_on = tmp_path / "go-on"

    def held_up(x: int, go_on: str):
        import os
        import time

        until = time.monotonic() + 200
        while x >= 2 and not os.path.exists(go_on) and time.monotonic() < until:
            time.sleep(0.01)
        return x

    def submit():
        return fanfold.submit(held_up, range(4), go_on=str(go_on), collect=False)

    job = submit()
    for run in job.as_completed():
        if run.index < 2 and job.counts().get("succeeded") == 2:
            break
    holder = sqlite3.connect(home / "fanfold.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    go_on.touch()
    with pytest.raises(fanfold.StoreError, match="was held by another process for more than") as told:
        job.wait(timeout=120)
    assert "then call again" in told.value.next_step
    holder.execute("ROLLBACK")
    holder.close()
    again = submit().wait(timeout=120)
    assert again.results() == [0, 1, 2, 3]
    assert again.counts() == {"cached": 2, "succeeded": 2}
