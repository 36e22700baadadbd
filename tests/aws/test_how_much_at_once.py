"""Realtime runs side by side: what the deployment has reserved, what the account leaves, what a call asks for."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest

from fanfold.contract import cloud as contract
from fanfold.contract import payloads
from fanfold.core.models import RunRef
from fanfold.engines.aws import AwsEngine
from fanfold.engines.aws.capacity import portions
from fanfold.engines.aws.discovery import discover
from tests.aws.emulated import Emulated, make_state_machines
from tests.aws.udfs import put_job


def double(n: int):
    return 2 * n


@pytest.fixture
def opened(aws, account, deployment, home, tmp_path):
    """Opens the deployment's engine, which has so much reserved."""
    make_state_machines(account, deployment)

    def open_engine(reserved=0):
        descriptor = {
            **deployment.descriptor,
            "limits": {**deployment.descriptor["limits"], "concurrency": reserved},
        }
        name = contract.parameter_name(deployment.name)
        account.client("ssm").put_parameter(Name=name, Value=json.dumps(descriptor), Type="String", Overwrite=True)
        return AwsEngine(account, discover(account, deployment.name), tmp_path / "scratch")

    return open_engine


@contextmanager
def account_with(account, runs_at_once):
    """The account leaves so much to all its functions; moto does not know of such limits."""
    asked = []

    def answer(**_):
        asked.append(1)
        limits = {"ConcurrentExecutions": 5000, "UnreservedConcurrentExecutions": runs_at_once}
        return type("Answer", (), {"status_code": 200, "headers": {}}), {"AccountLimit": limits}

    events = account.client("lambda").meta.events
    events.register("before-call.lambda.GetAccountSettings", answer)
    try:
        yield asked
    finally:
        events.unregister("before-call.lambda.GetAccountSettings", answer)


def started(engine, account, count, **asked):
    """What the distributed machine is given for a job of so many runs."""
    header = put_job(engine.stores, double, list(range(count)), cache=False, **asked)
    with Emulated(account, lambda payload: None) as emulated:
        engine.start(header, [RunRef(index) for index in range(count)])
    [given] = emulated.executions.values()
    return given["max_children"], given["runs_per_child"]


@pytest.mark.parametrize("at_once", [1, 3, 10, 39, 40, 41, 50, 999, 1000, 1001, 10_000])
def test_children_have_together_no_more_than_may_run_and_hardly_less(at_once):
    children, runs_per_child = portions(at_once)
    assert 1 <= runs_per_child <= payloads.RUNS_PER_CHILD
    assert at_once - children < children * runs_per_child <= at_once


def test_a_new_account_that_lets_ten_run_is_given_ten_at_a_time(opened, account):
    engine = opened()
    with account_with(account, 10) as asked:
        assert engine.describe().concurrency == 10
        assert started(engine, account, 200) == (
            1,
            12,
        )  # a fifth more than may run, since children wait for their slowest
    assert len(asked) == 1


def test_as_much_as_the_account_leaves_is_kept_busy(opened, account):
    with account_with(account, 900):
        assert started(opened(), account, 1500) == (27, 40)


def test_what_is_reserved_is_all_that_is_used_and_nothing_has_to_be_asked(opened, account):
    with account_with(account, 900) as asked:
        assert started(opened(reserved=80), account, 1500) == (3, 32)
    assert asked == []


def test_max_workers_is_a_limit_to_the_run(opened, account):
    with account_with(account, 900):
        engine = opened()
        assert started(engine, account, 20, max_workers=3) == (1, 3)
        assert started(engine, account, 200, max_workers=50) == (2, 25)
        assert started(engine, account, 20, max_workers=5000) == (27, 40)


def test_an_account_that_does_not_tell_is_taken_for_a_usual_one(opened, account):
    assert opened().describe().concurrency == 1000
