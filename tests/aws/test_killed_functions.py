"""A function whose environment is killed at any step: the caller, or who looks after the job, tries again."""

from __future__ import annotations

import pytest

from fanfold.contract import cloud as contract
from fanfold.core.models import EventKind, RunRef, RunStatus
from fanfold.engines.aws.dispatch import DIRECT
from fanfold.job.results import Contents
from fanfold.stores.state import read_state
from tests.aws.an_engine import the_past
from tests.aws.cloud import ENVIRONMENT
from tests.aws.emulated import Emulated
from tests.aws.lambda_host import LambdaHost
from tests.aws.udfs import put_job
from tests.stores.event_log_contract import by_id, read_all

STEPS = ["before it started", "after its result was stored", "before its end was told", "after its end was told"]


@pytest.fixture
def dying(aws, deployment, tmp_path):
    """Makes a function that is killed once, at a step."""
    hosts = []

    def make(step: str) -> LambdaHost:
        environment = {
            **ENVIRONMENT,
            "AWS_ENDPOINT_URL": aws,
            "FANFOLD_DEPLOYMENT": deployment.name,
            contract.ENV_TABLE: deployment.table,
            contract.ENV_BUCKET: deployment.bucket,
            "TEST_DIES": step,
            "TEST_MARK": str(tmp_path / "killed"),
        }
        hosts.append(LambdaHost(environment, folder=tmp_path, handler="tests.aws.dying_function.handler"))
        return hosts[-1]

    yield make
    for host in hosts:
        host.close()


def zeros(n: int):
    return bytes(n)


@pytest.mark.parametrize("step", STEPS)
def test_a_run_whose_function_is_killed_unheard_ends_with_one_result(
    engine, account, dying, eventually, monkeypatch, step, tmp_path
):
    function = dying(step)
    header = put_job(engine.stores, zeros, [100_000])
    answers = []

    def unheard(payload):  # nobody writes the death down: not the caller, who is gone, nor a state machine
        answers.append(function.invoke(payload).error)

    with Emulated(account, unheard):
        engine.start(header, [RunRef(0)])
        eventually(lambda: answers)
        engine.paths[DIRECT].wait()
        assert answers == ["Runtime.ExitError"]
        assert (tmp_path / "killed").exists()
        the_past(monkeypatch, 1000)
        for _ in range(2):
            engine.looked_at.clear()
            engine.reconcile(header, read_state(engine.stores.log, header))
        eventually(lambda: read_state(engine.stores.log, header).done)
    state = read_state(engine.stores.log, header)
    assert state.status_of(0) is RunStatus.SUCCEEDED
    assert Contents(header, engine.stores).value(0, state.output(0)) == bytes(100_000)
    good = {event.id for event in read_all(engine.stores.log, header.id) if event.status is RunStatus.SUCCEEDED}
    assert len(good) == 1


def test_a_caller_who_hears_of_the_death_tells_it_at_once(engine, account, dying, eventually):
    function = dying("before its end was told")
    header = put_job(engine.stores, zeros, [10], retry_on=(MemoryError,))

    def heard(payload):
        answer = function.invoke(payload)
        return answer.payload if answer.error else None

    with Emulated(account, heard):
        engine.start(header, [RunRef(0)])

        def told():
            events = by_id(read_all(engine.stores.log, header.id)).values()
            return [event for event in events if event.kind is EventKind.FINISHED]

        [death] = eventually(told)
        assert death.status is RunStatus.OUT_OF_MEMORY
        engine.reconcile(header, read_state(engine.stores.log, header))
        eventually(lambda: read_state(engine.stores.log, header).done)
    assert read_state(engine.stores.log, header).status_of(0) is RunStatus.SUCCEEDED
