"""The deployed system end to end: the SDK, the synthesised state machines, the real handler; by every realtime path."""

from __future__ import annotations

import pytest

import fanfold
from tests.cloud.udfs import squared

pytestmark = pytest.mark.usefixtures("on_cloud")


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


@pytest.mark.parametrize(
    ("count", "executions"), [(41, 2), *(pytest.param(*more, marks=pytest.mark.long) for more in ((40, 1), (1000, 25)))]
)
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
    assert job.verify()
    eventually(lambda: on_cloud.ended().get("STANDARD SUCCEEDED", 0) == before + 1)


@pytest.mark.long
@pytest.mark.parametrize(("count", "max_workers"), [(130, 400), (1200, None)])
def test_more_runs_and_jobs_with_max_workers_are_a_distributed_map(on_cloud, eventually, count, max_workers):
    before = on_cloud.ended().get("STANDARD SUCCEEDED", 0)
    job = fanfold.submit(squared, range(count), max_workers=max_workers, collect=False)
    assert job.results() == [x * x for x in range(count)]
    assert job.verify()
    eventually(lambda: on_cloud.ended().get("STANDARD SUCCEEDED", 0) == before + 1)


@pytest.mark.parametrize(("count", "machines"), [pytest.param(1, 1, marks=pytest.mark.long), (20, 3)])
def test_machines_are_one_batch_job_an_array_where_there_are_several(on_cloud, eventually, count, machines):
    job = fanfold.submit(squared, range(count), instance_type="small", max_workers=machines, collect=False)
    assert job.results() == [x * x for x in range(count)]
    assert job.verify()
    (given,) = on_cloud.machines_of(job.id)
    assert given.get("arrayProperties", {}).get("size", 1) == machines
    eventually(lambda: [one["status"] for one in on_cloud.machines_of(job.id)] == ["SUCCEEDED"])


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
