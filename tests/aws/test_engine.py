"""The AWS engine: which path a job takes, what it costs in calls, and what is refused.

moto executes neither functions nor state machines: `emulated` answers in their place, and the realtime handler runs in
this process.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError
from numpy.random import default_rng

import fanfold
from fanfold.contract import cloud as contract
from fanfold.contract import payloads
from fanfold.core.models import EventKind, RunRef, Usage
from fanfold.engines.aws import dispatch, paths, reconcile
from fanfold.engines.aws.work import Work
from fanfold.engines.base import engine_for
from fanfold.errors import (
    CaptureError,
    ConfigurationError,
    RunFailed,
    RunTimedOut,
    StoreUnavailable,
    UnknownInstanceType,
)
from fanfold.source.capture import capture
from fanfold.source.load import SourceFile
from fanfold.stores.state import read_state
from fanfold.submission.needs import check_needs, check_texts
from tests.aws.an_engine import carry_out, double, execution_arns, new_dispatch
from tests.aws.calls import counted
from tests.aws.emulated import Emulated
from tests.aws.udfs import put_job
from tests.stores.event_log_contract import read_all
from tests.stores.samples import a_job, finished


@pytest.mark.parametrize(
    ("count", "at_once", "asked", "path"),
    [
        (1, 1000, {}, "direct"),
        (2, 1000, {}, "express"),
        (1000, 1000, {}, "express"),
        (1001, 5000, {}, "distributed"),
        (10, 10, {}, "express"),
        (11, 10, {}, "distributed"),
        (5, 1000, {"max_workers": 3}, "distributed"),
        (5, 1000, {"instance_type_name": "small"}, "dedicated"),
        (1, 1000, {"instance_type_name": "small"}, "dedicated"),
    ],
)
def test_the_path_follows_from_what_is_asked_and_how_much_may_run_at_once(count, at_once, asked, path):
    from fanfold.core.options import Request

    request = Request.of(fanfold.core.options.Options(), **asked)
    header = SimpleNamespace(
        instance_type=request.instance.name if request.instance else None, max_workers=request.max_workers, rate=None
    )
    assert paths.choose_path(header, [RunRef(index) for index in range(count)], lambda: at_once) == path


def test_one_run_invokes_the_function_and_waits(engine, in_process, account, deployment, eventually, fresh):
    header = put_job(engine.stores, double, [1])
    with Emulated(account, in_process) as emulated:
        engine.start(header, [RunRef(0)])
        eventually(lambda: fresh(header).done)
    assert emulated.executions == {}
    [payload] = emulated.invocations
    assert payload["run"]["function"] in deployment.descriptor["functions"]
    assert payload["token"] == f"{header.id}/0/0"


def test_a_process_that_does_not_stay_leaves_its_one_run_to_an_execution(engine, in_process, account, fresh):
    header = put_job(engine.stores, double, [1])
    engine.detached = True  # as `--no-wait` sets it
    with Emulated(account, in_process) as emulated:
        engine.start(header, [RunRef(0)])
        assert emulated.invocations == []
        carry_out(engine, emulated)
    assert fresh(header).done


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"errorType": "Sandbox.Timedout", "errorMessage": "Task timed out after 120.00 seconds"}, "timed_out"),
        ({"errorType": "Runtime.ExitError", "errorMessage": "signal: killed"}, "out_of_memory"),
        ({"errorType": "Runtime.ExitError", "errorMessage": "exit status 1"}, "failed"),
        ({"errorType": "StoreError", "errorMessage": "no table"}, "failed"),
    ],
)
def test_a_function_that_dies_under_one_run_is_told_of_by_the_caller(engine, account, eventually, fresh, said, status):
    header = put_job(engine.stores, double, [1], max_retry=0)
    with Emulated(account, lambda payload: said):
        engine.start(header, [RunRef(0)])
        eventually(lambda: fresh(header).done)
    assert fresh(header).status_of(0).value == status


def test_up_to_a_thousand_runs_are_executions_of_40(engine, in_process, account, fresh):
    header = put_job(engine.stores, double, list(range(100)))
    with Emulated(account, in_process) as emulated:
        engine.start(header, [RunRef(index) for index in range(100)])
        sizes = sorted(len(given["Items"]) for given in emulated.executions.values())
        assert sizes == [20, 40, 40]
        assert all(len(json.dumps(given)) < 256 * 1024 for given in emulated.executions.values())
        carry_out(engine, emulated)
    assert fresh(header).done


def test_more_runs_are_one_execution_over_a_manifest(engine, in_process, account, fresh):
    header = put_job(engine.stores, double, list(range(1500)))
    with Emulated(account, in_process) as emulated, counted(account) as calls:
        engine.start(header, [RunRef(index) for index in range(1500)])
        [given] = emulated.executions.values()
        assert set(given) == set(payloads.DistributedInput.__annotations__)
        lines = engine.stores.objects.get(given["manifest_key"]).splitlines()
        items = [json.loads(line) for line in lines]
    assert [item["index"] for item in items] == list(range(1500))
    assert all(set(item) == set(payloads.RunItem.__annotations__) - {"more"} for item in items)
    assert len({item["function"] for item in items}) == 2
    assert {item["shard"] for item in items} == set(range(contract.shards(1500)))
    assert sum(calls.values()) <= 6


ARGUMENTS = {
    "long": ("x" * 50_000, "range"),
    "of quotes, which JSON within JSON doubles": ('"' * 2_000, "range"),
    "of empty strings": ([""] * 1_300, "range"),
    "of another script": ("中" * 650, "range"),
    "of pictures": ("😀" * 330, "range"),
    "just short enough": ("x" * 4_070, "text"),
}


@pytest.mark.parametrize(("argument", "by"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_40_runs_fit_one_execution_for_long_arguments_travel_by_reference(engine, in_process, account, argument, by):
    def length(value):
        return len(value)

    header = put_job(engine.stores, length, [{"value": argument}] * 40)
    with Emulated(account, in_process) as emulated:
        engine.start(header, [RunRef(index) for index in range(40)])
    [given] = emulated.executions.values()
    assert len(json.dumps(given, separators=(",", ":"))) < 256 * 1024
    assert {next(iter(item["arguments"])) for item in given["Items"]} == {by}


def test_a_dedicated_job_lays_out_its_work_and_starts_its_machines(engine, in_process, account):
    header = put_job(engine.stores, double, [1, 2, 3], instance_type_name="small", max_workers=2)
    with Emulated(account, in_process) as emulated:
        engine.start(header, [RunRef(index) for index in (0, 2)])
    [given] = emulated.executions.values()
    assert set(given) == set(payloads.DedicatedInput.__annotations__)
    assert (given["machines"], given["queue"][:2]) == (2, "q-")
    work = Work(engine.stores, header.id)
    assert [run.index for run in work.take(10)] == [0, 2]
    assert work.take(10) == []


def test_a_machine_that_the_deployment_does_not_have_is_refused_before_anything_is_written(
    engine, deployment, monkeypatch
):
    monkeypatch.setenv("FANFOLD_DEPLOYMENT", deployment.name)
    with pytest.raises(UnknownInstanceType, match="'large' is not a machine that this deployment has") as error:
        fanfold.submit(double, [1], instance_type="large")
    assert "it has small, gpu" in error.value.next_step
    assert engine.stores.log.list_jobs() == []


def test_a_machine_of_the_deployments_own_settings_is_one_like_any_other(
    engine, deployment, monkeypatch, capsys, account
):
    monkeypatch.setenv("FANFOLD_DEPLOYMENT", deployment.name)
    trains = fanfold.udf(double, instance_type="gpu")
    job = fanfold.submit(trains, [1, 2], collect=False)
    assert "gpu is served by g5.xlarge (4 vCPU, 16 GiB)" in capsys.readouterr().err
    header = engine.stores.log.get_job(job.id)
    assert (header.instance_type, header.usd_per_hour) == ("gpu", 1.006)
    assert [dispatch.path for dispatch in reconcile.dispatches_of(read_state(engine.stores.log, header))] == [
        "dedicated"
    ]
    hour = finished(job.id, 0)._replace(usage=Usage(duration_s=3600.0))
    engine.stores.log.append([hour])
    assert job.cost() == pytest.approx(1.006)
    assert "gpu" in str(fanfold.plan(double, [1, 2], instance_type="gpu"))


def test_a_decorator_names_a_machine_of_the_deployment_only_where_one_is_named(home):
    with pytest.raises(UnknownInstanceType, match="'gpu'") as error:
        fanfold.udf(double, instance_type="gpu")
    assert "FANFOLD_DEPLOYMENT" in error.value.next_step


def test_runs_on_a_machine_share_what_its_container_spares(engine):
    def memory_mib(**asked):
        return put_job(engine.stores, double, [1], instance_type_name="small", **asked).memory_mib

    assert memory_mib() == 2048
    assert memory_mib(n_processes_per_worker=4) == 512
    assert memory_mib(n_processes_per_worker=2, memory_mib=700) == 700
    with pytest.raises(
        fanfold.InputError, match=r"memory_mib=2000 is more than the 1,024 MiB .* one of 2 side by side"
    ):
        memory_mib(n_processes_per_worker=2, memory_mib=2000)


def test_an_import_that_the_deployment_does_not_have_is_refused_before_anything_is_written(
    engine, aws, deployment, account, monkeypatch
):
    def draws():
        import matplotlib.pyplot
        import numpy
        import PIL

        return matplotlib, numpy, PIL

    monkeypatch.setenv("FANFOLD_DEPLOYMENT", deployment.name)
    with pytest.raises(CaptureError, match="matplotlib") as error:
        fanfold.submit(draws, [{}, {}])
    assert "PIL" not in error.value.message
    assert "numpy" in error.value.next_step
    assert engine.stores.log.list_jobs() == []


def test_what_needs_another_python_or_version_than_the_deployment_has_is_refused_by_both_versions(engine):
    space: dict[str, object] = {}
    exec("x nruter :)x(dlotnu fed"[::-1], space)  # a text that nobody has kept
    generator = default_rng(1)
    numpy, here = version("numpy"), f"{sys.version_info.major}.{sys.version_info.minor}"
    known = engine.describe()
    described = known._replace(python="3.9", packages={**known.packages, "numpy": "1.0"})
    with pytest.raises(
        CaptureError, match=f"'untold'.* needs Python {here}, .*; the deployment has Python 3.9"
    ) as error:
        check_needs(capture(space["untold"]).needs, described)
    assert "make it inside the function" in error.value.next_step
    needs = capture(lambda x: generator.random() + x).needs
    with pytest.raises(CaptureError, match=f"generator.* needs numpy {numpy}, .*; the deployment has numpy 1.0"):
        check_needs(needs, described)
    check_needs(needs, known._replace(packages={"NumPy": numpy}))
    check_needs(needs, described, brought={"numpy"})


def test_a_text_that_the_deployments_python_cannot_read_is_refused_by_its_line():
    source = SourceFile("main", "main.py", "def f(x):\n    match x:\n        case 1: return x\n", "entry")
    with pytest.raises(CaptureError, match=r"main.py:\d: the Python 3.9 of the deployment cannot read it") as error:
        check_texts([source], "3.9")
    assert "the way Python 3.9 reads it" in error.value.next_step
    for python in ("3.10", "3.99", ""):  # which read it, or do not say
        check_texts([source], python)


def test_cancel_stops_executions_and_terminates_machines(engine, account, fresh):
    header = put_job(engine.stores, double, list(range(3)), max_workers=2)
    engine.start(header, [RunRef(index) for index in range(3)])
    engine.stores.log.request_cancel(header.id, time.time())
    engine.cancel(header)
    [arn] = execution_arns(engine, header, fresh(header))
    assert account.client("stepfunctions").describe_execution(executionArn=arn)["status"] == "ABORTED"
    assert fresh(header).done


def test_a_whole_job_through_the_public_door(engine, in_process, account, deployment, monkeypatch):
    monkeypatch.setenv("FANFOLD_DEPLOYMENT", deployment.name)
    with pytest.raises(RunTimedOut) as error, _through(account, "Sandbox.Timedout"):
        fanfold.run(double, n=3)
    assert error.value.index == 0


@pytest.mark.parametrize(
    ("code", "says", "next_step"),
    [
        ("AccessDeniedException", "may not do lambda:InvokeFunction", "user policy"),
        ("ExpiredTokenException", "credentials in use have expired", "sign in again"),
    ],
)
def test_a_run_whose_function_may_not_be_called_says_so_at_once_and_what_to_do(
    engine, deployment, monkeypatch, code, says, next_step
):
    monkeypatch.setenv("FANFOLD_DEPLOYMENT", deployment.name)
    tries = []

    def refuse(**_):
        tries.append(1)
        raise ClientError({"Error": {"Code": code, "Message": ""}}, "Invoke")

    engine_for().account.client("lambda").meta.events.register("before-call.lambda.Invoke", refuse)
    with pytest.raises(RunFailed, match=says) as error:
        fanfold.run(double, n=3)
    assert next_step in error.value.next_step
    assert len(tries) == 1


def _through(account, kind):
    """The process's own engine makes its own account; its clients are answered too."""
    return Emulated(engine_for().account, lambda payload: {"errorType": kind, "errorMessage": "Task timed out"})


def test_every_event_of_a_dispatch_is_one_that_readers_understand(engine, account):
    header = put_job(engine.stores, double, [1, 2])
    with Emulated(account, lambda payload: None):
        engine.start(header, [RunRef(0), RunRef(1)])
    told = [event for event in read_all(engine.stores.log, header.id) if event.kind is EventKind.DISPATCH]
    assert {event.data["state"] for event in told} == {"starting", "started"}
    assert all(dispatch.of_event(event).covers(1, 0) for event in told)
    assert not any(dispatch.of_event(event).covers(2, 0) for event in told)


def test_machines_are_ended_though_their_execution_cannot_be_stopped(engine, account, monkeypatch):
    header = put_job(engine.stores, double, [1], instance_type_name="small")
    with Emulated(account, lambda payload: None):
        engine.start(header, [RunRef(0)])
    ended, call = [], account.call

    def answer(service, operation, **parameters):
        if operation == "stop_execution":
            raise StoreUnavailable("AWS did not answer.", next_step="wait.")
        if operation == "list_jobs":
            return {"jobSummaryList": [{"jobId": "machine", "status": "RUNNABLE"}]}
        if operation == "terminate_job":
            return ended.append(parameters["jobId"])
        return call(service, operation, **parameters)

    monkeypatch.setattr(account, "call", answer)
    with pytest.raises(StoreUnavailable):
        engine.cancel(header)
    assert ended == ["machine"]


@pytest.mark.parametrize("known", [True, False])
def test_the_jobs_of_a_cancelled_job_are_terminated_fifty_a_call_or_singly(engine, account, monkeypatch, known):
    asked = []
    jobs = [{"jobId": f"machine-{n}", "status": "RUNNING"} for n in range(120)] + [{"jobId": "x", "status": "FAILED"}]

    def answer(service, operation, **parameters):
        if operation == "list_jobs":
            return {"jobSummaryList": jobs}
        if operation == "terminate_jobs" and not known:
            raise ConfigurationError("batch:TerminateJobs is not allowed", next_step="ask")
        asked.append((operation, parameters.get("jobs") or [parameters.get("jobId")]))
        return {}

    monkeypatch.setattr(account, "call", answer)
    header = a_job(engine="aws", instance_type="small")
    engine.paths["dedicated"].stop(header, new_dispatch(header, [RunRef(0)]))
    ended = [(operation, ids) for operation, ids in asked if operation.startswith("terminate")]
    assert [job for _, ids in ended for job in ids] == [f"machine-{n}" for n in range(120)]
    assert [len(ids) for _, ids in ended] == ([50, 50, 20] if known else [1] * 120)
