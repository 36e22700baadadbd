"""`batch_size=`: several short runs share one invocation, and nothing else."""

from __future__ import annotations

import json

import pytest

import fanfold
from fanfold.contract import cloud as contract
from fanfold.contract.payloads import RUNS_PER_CHILD
from fanfold.core.models import EventKind, RunRef, RunStatus
from fanfold.core.options import Options, Request
from fanfold.engines.aws.capacity import portions
from fanfold.engines.aws.dispatch import batches, run_items
from fanfold.errors import InputError
from fanfold.stores.keys import work_key
from fanfold.stores.state import read_state
from fanfold.submission.batching import with_batch
from tests.aws.cloud import ENVIRONMENT
from tests.aws.lambda_host import HANDLER, LambdaHost
from tests.aws.udfs import FUNCTIONS, put_job
from tests.cloud.udfs import squared
from tests.stores.event_log_contract import read_all


@pytest.fixture
def function(aws, deployment, tmp_path):
    """The function of this test's deployment."""
    environment = {
        **ENVIRONMENT,
        "AWS_ENDPOINT_URL": aws,
        "FANFOLD_DEPLOYMENT": deployment.name,
        contract.ENV_TABLE: deployment.table,
        contract.ENV_BUCKET: deployment.bucket,
    }
    host = LambdaHost(environment, folder=tmp_path, handler=HANDLER)
    yield host
    host.close()


def odd_only(x: int):
    print("looking at", x)
    if x % 2 == 0:
        raise ValueError(f"{x} is even")
    return x


def sleepy(seconds: float):
    import time

    time.sleep(seconds)
    return seconds


def items_of(stores, header, count, attempt=0):
    runs = [RunRef(index, attempt) for index in range(count)]
    return list(run_items(header, runs, objects=stores.objects, functions=FUNCTIONS))


def payload_of(stores, header, count):
    [item] = items_of(stores, header, count)
    return {"job": {"id": header.id, "expires_at": stores.log.job_headers.known(header.id).expires_at}, "run": item}


def test_each_run_of_a_batch_has_its_own_end_output_and_cache_entry(function, aws_stores):
    header = put_job(aws_stores, odd_only, [1, 2, 3], batch_size=3)
    answer = function.invoke(payload_of(aws_stores, header, 3))
    assert answer.payload == {"status": ["succeeded", "failed", "succeeded"]}
    state = read_state(aws_stores.log, header)
    assert [state.status_of(index).value for index in range(3)] == ["succeeded", "failed", "succeeded"]
    printed = {event.index: event.data["text"] for event in read_all(aws_stores.log, header.id, "telemetry")}
    assert printed == {n: f"looking at {n + 1}\n" for n in range(3)}
    again = put_job(aws_stores, odd_only, [1, 2, 3, 5], batch_size=3)
    seen = read_state(aws_stores.log, again)
    assert [seen.status_of(index) is RunStatus.CACHED for index in range(4)] == [True, False, True, False]


def test_what_has_ended_is_on_record_where_the_function_fails_within_a_batch(function, aws_stores):
    header = put_job(aws_stores, odd_only, [1, 3, 5], batch_size=3)
    payload = payload_of(aws_stores, header, 3)
    payload["run"]["more"][1]["arguments"] = {}  # what nobody can read
    assert function.invoke(payload).error
    state = read_state(aws_stores.log, header)
    assert [state.status_of(index).value for index in range(3)] == ["succeeded", "succeeded", "queued"]


def test_what_a_batch_has_no_time_for_is_started_anew_with_all_its_tries(function, aws_stores):
    warm = put_job(aws_stores, sleepy, [0.25])
    function.invoke(payload_of(aws_stores, warm, 1))  # else its start would be of the time
    for seconds, limit_s in ([3.5, 0.1, 0.2], 16), ([0.3, 60.0], 12):  # no time to begin it; begun, and cut short
        header = put_job(aws_stores, sleepy, seconds, batch_size=3)
        function.invoke(payload_of(aws_stores, header, len(seconds)), timeout_s=limit_s)
        state = read_state(aws_stores.log, header)
        assert state.status_of(0) is RunStatus.SUCCEEDED
        for index in range(1, len(seconds)):
            assert state.status_of(index) is RunStatus.QUEUED
            assert (state.attempt_of(index), state.first_attempt_of(index)) == (1, 1)


def test_what_is_tried_again_is_alone(aws_stores):
    header = put_job(aws_stores, odd_only, list(range(7)), batch_size=3)
    together = [1 + len(item.get("more", ())) for item in items_of(aws_stores, header, 7)]
    assert together == [3, 3, 1]
    assert [1 + len(item.get("more", ())) for item in items_of(aws_stores, header, 7, attempt=1)] == [1] * 7


def test_a_child_never_has_more_runs_than_its_state_holds(aws_stores):
    header = put_job(aws_stores, odd_only, list(range(100)), batch_size=15)
    children = [
        sum(1 + len(item.get("more", ())) for item in child) for child in batches(items_of(aws_stores, header, 100))
    ]
    assert children == [30, 30, 40]
    for size in (1, 2, 15, 40):
        assert portions(1000, size).runs_per_child * size <= RUNS_PER_CHILD


@pytest.mark.usefixtures("on_cloud")
@pytest.mark.parametrize(("count", "asked"), [pytest.param(10, {}, marks=pytest.mark.long), (42, {"max_workers": 400})])
def test_a_job_of_batches_gives_what_it_gives_without(count, asked):
    job = fanfold.submit(squared, range(count), batch_size=4, collect=False, **asked)
    assert job.results() == [x * x for x in range(count)]
    assert job.verify()
    stores = job.tracker.engine.stores
    ends = [event for event in read_all(stores.log, job.id) if event.kind is EventKind.FINISHED]
    assert sorted(event.index for event in ends) == list(range(count))
    if asked:
        [dispatch] = [event.data["name"] for event in job.state.job_events(EventKind.DISPATCH)]
        lines = stores.objects.get(work_key(job.id, dispatch)).splitlines()
        assert [1 + len(json.loads(line).get("more", ())) for line in lines] == [4] * 10 + [2]


@pytest.mark.usefixtures("on_cloud")
def test_target_s_goes_by_what_past_runs_took(capsys):
    first = fanfold.submit(squared, [1, 2], target_s=40, cache=False, collect=False).wait()
    assert "no run of squared is known yet" in capsys.readouterr().err
    assert first.header.batch_size == 1
    engine = first.tracker.engine
    at_once = engine.describe().ask_concurrency()

    def batch_size(count, target_s):
        return with_batch(squared, range(count), engine, Request.of(Options(), target_s=target_s), {})[1].batch_size

    assert batch_size(3 * at_once, 120) == 3  # an invocation for each function that may run
    assert batch_size(1000 * at_once, 120) == 40
    assert batch_size(1000 * at_once, 1e-6) == 1


def test_what_is_no_batch_is_refused_by_name():
    for wrong, why in ({"batch_size": 41}, "more than the 40"), ({"batch_size": 0}, "batch_size=0"):
        with pytest.raises(InputError, match=why):
            fanfold.submit(squared, [1], **wrong)
    with pytest.raises(InputError, match="give one of them"):
        fanfold.submit(squared, [1], batch_size=2, target_s=40)


def test_on_this_machine_it_changes_nothing():
    assert fanfold.submit(squared, [1, 2, 3], batch_size=2, collect=False).results() == [1, 4, 9]
