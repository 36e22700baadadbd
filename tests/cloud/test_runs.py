"""The deployed system end to end: the SDK, the synthesised state machines, the real handler; by every realtime path."""

from __future__ import annotations

import subprocess
import sys

import pytest

import fanfold

pytestmark = pytest.mark.usefixtures("on_cloud")


@fanfold.udf
def squared(x: int):
    return x * x


@fanfold.udf
def length(text: str):
    return len(text)


@fanfold.udf
def mixed(x: int):
    if x % 10 == 3:
        raise ValueError(f"{x} ends in three")
    return [x] * 3000 if x % 10 == 4 else x


def test_one_run_calls_the_function_itself(on_cloud):
    before = on_cloud.ended()
    assert fanfold.run(squared, x=7) == 49
    assert on_cloud.ended() == before


@pytest.mark.parametrize(("count", "executions"), [(5, 1), (40, 1), (41, 2), (200, 5)])
def test_up_to_a_thousand_runs_are_express_executions_of_forty(on_cloud, eventually, count, executions):
    before = on_cloud.ended().get("EXPRESS SUCCEEDED", 0)
    job = fanfold.submit(squared, range(count), collect=False)
    assert job.results() == [x * x for x in range(count)]
    assert job.verify()
    eventually(lambda: on_cloud.ended().get("EXPRESS SUCCEEDED", 0) == before + executions)


def test_a_distributed_map_over_more_than_a_state_holds_ends_well(on_cloud, eventually):
    """It gathers what its children put out: were that their inputs, it would fail with every run done."""
    before = on_cloud.ended().get("STANDARD SUCCEEDED", 0)
    texts = [f"{n:03}" + "x" * 2000 for n in range(160)]
    job = fanfold.submit(length, texts, max_workers=400, collect=False)
    assert job.results() == [2003] * 160
    eventually(lambda: on_cloud.ended().get("STANDARD SUCCEEDED", 0) == before + 1)


@pytest.mark.parametrize("count", [130, 1000])
def test_a_job_with_max_workers_is_a_distributed_map(on_cloud, eventually, count):
    before = on_cloud.ended().get("STANDARD SUCCEEDED", 0)
    job = fanfold.submit(squared, range(count), max_workers=400, collect=False)
    assert job.results() == [x * x for x in range(count)]
    assert job.verify()
    eventually(lambda: on_cloud.ended().get("STANDARD SUCCEEDED", 0) == before + 1)


def machines_of(cloud, job):
    """The Batch jobs that a job's runs were given to."""
    batch = cloud.client("batch")
    by_name = [{"name": "JOB_NAME", "values": [f"fanfold-{job.id}"]}]
    listed = batch.list_jobs(jobQueue="fanfold-main-c5-large", filters=by_name)["jobSummaryList"]
    return batch.describe_jobs(jobs=[one["jobId"] for one in listed])["jobs"]


@pytest.mark.parametrize(("count", "machines"), [(1, 1), (50, 3)])
def test_machines_are_one_batch_job_an_array_where_there_are_several(on_cloud, eventually, count, machines):
    job = fanfold.submit(squared, range(count), instance_type="small", max_workers=machines, collect=False)
    assert job.results() == [x * x for x in range(count)]
    assert job.verify()
    (given,) = machines_of(on_cloud, job)
    assert given.get("arrayProperties", {}).get("size", 1) == machines
    eventually(lambda: [one["status"] for one in machines_of(on_cloud, job)] == ["SUCCEEDED"])


def test_cancel_ends_machines_too(on_cloud, eventually):
    @fanfold.udf
    def endless(x: int):
        import time

        while True:
            time.sleep(0.05)

    job = fanfold.submit(endless, range(4), instance_type="small", max_workers=2, collect=False)
    eventually(lambda: job.counts().get("running"))
    job.cancel()
    eventually(lambda: job.status == "Cancelled")
    eventually(lambda: [one["status"] for one in machines_of(on_cloud, job)] == ["FAILED"])


def test_outcomes_stay_with_their_inputs_however_mixed_they_are():
    job = fanfold.submit(mixed, range(60), collect=False).wait()
    assert job.counts() == {"succeeded": 54, "failed": 6}
    assert sorted(job.errors()) == [3, 13, 23, 33, 43, 53]
    assert "23 ends in three" in str(job.errors()[23])
    assert [len(run.result()) for run in job if run.index % 10 == 4] == [3000] * 6


def test_large_arguments_and_large_results_go_by_the_bucket():
    @fanfold.udf
    def doubled(text: str):
        return text * 2

    texts = ["a" * 5_000, "b" * 300_000, "c"]
    assert fanfold.submit(doubled, texts, collect=False).results() == [text * 2 for text in texts]


def test_only_what_failed_is_run_again(tmp_path):
    @fanfold.udf
    def mended(x: int, flag: str):
        import pathlib

        if x % 2 and not pathlib.Path(flag).exists():
            raise OSError("not there yet")
        return x

    flag = tmp_path / "flag"
    job = fanfold.submit(mended, range(10), flag=str(flag), collect=False).wait()
    assert job.counts() == {"succeeded": 5, "failed": 5}
    flag.touch()
    assert job.retry().results() == list(range(10))


def test_another_process_follows_the_same_job():
    job = fanfold.submit(squared, range(50), collect=False)
    program = f"import fanfold; print(sum(fanfold.get_job({job.id!r}).results()))"
    told = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert int(told) == sum(x * x for x in range(50))


@pytest.mark.parametrize("count", [30, 130])
def test_cancel_ends_a_job_in_mid_run(on_cloud, eventually, count):
    @fanfold.udf
    def napping(x: int):
        import time

        time.sleep(0.2)
        return x

    job = fanfold.submit(napping, range(count), max_workers=80 if count > 100 else None, collect=False)
    eventually(lambda: job.counts().get("succeeded"))
    job.cancel()
    eventually(lambda: job.status == "Cancelled")
    assert job.counts()["cancelled"] > 0
    assert set(job.counts()) <= {"cancelled", "succeeded"}


def test_two_jobs_of_two_people_go_on_at_once(monkeypatch):
    monkeypatch.setenv("FANFOLD_OWNER", "ada")
    first = fanfold.submit(squared, range(60), collect=False)
    monkeypatch.setenv("FANFOLD_OWNER", "grace")
    second = fanfold.submit(squared, range(60, 120), collect=False)
    assert second.results() == [x * x for x in range(60, 120)]
    assert first.results() == [x * x for x in range(60)]
    assert [job.id for job in fanfold.get_jobs()] == [second.id]
