"""An engine on an emulated account, and what its tests do with it."""

from __future__ import annotations

import threading
from contextlib import suppress

import pytest

from fanfold.engines.aws import AwsEngine, paths, reconcile
from fanfold.engines.aws.discovery import discover
from fanfold.stores.aws.clock import ServiceClock
from fanfold.stores.state import read_state
from tests.aws.emulated import make_state_machines
from tests.stores.samples import finished


@pytest.fixture
def engine(aws, account, deployment, home, tmp_path):
    make_state_machines(account, deployment)
    return AwsEngine(account, discover(account, deployment.name), tmp_path / "scratch")


@pytest.fixture
def in_process(engine):
    """Does a run as the function would: in this process, by its own code."""

    def invoke(payload):
        run = payload["run"]
        engine.stores.log.append([finished(payload["job"]["id"], run["index"], run["attempt"])])

    return invoke


@pytest.fixture
def fresh(engine):
    """The job's state, header and all, read from the beginning."""

    def read(header):
        engine.stores.log.job_headers.forget(header.id)
        return read_state(engine.stores.log, engine.stores.log.get_job(header.id))

    return read


def carry_out(engine, emulated):
    """Do what the state machines do with all that was started: here, every run succeeds."""
    payloads = emulated.payloads(engine.stores.objects)
    engine.stores.log.append([finished(it["job"]["id"], it["run"]["index"], it["run"]["attempt"]) for it in payloads])


def execution_arns(engine, header, state):
    """The ARNs of the Standard executions that were started for a job."""
    machines = engine.context.descriptor["state_machines"]
    arn = {path: machine.replace(":stateMachine:", ":execution:") for path, machine in machines.items()}
    return [f"{arn[one.path]}:{header.id}-{one.name}" for one in reconcile.dispatches_of(state)]


def double(n: int):
    return 2 * n


def the_past(monkeypatch, seconds):
    """Everything that happened until now happened so many seconds ago, as far as the engine can tell."""
    real = ServiceClock.now
    monkeypatch.setattr(ServiceClock, "now", lambda clock: real(clock) + seconds)


def new_dispatch(header, runs):
    return paths.new_dispatch(header, runs, lambda: 1000)


def cut_off_between_any_two_calls(account, start):
    """Start again and again, each time killed one call later, until it comes to its end; how often it was killed."""

    class Killed(BaseException):
        pass

    clients = [account.client(name) for name in ("dynamodb", "s3", "stepfunctions")]
    left = 0

    def kill(**_):
        nonlocal left
        if threading.current_thread().name != "fanfold-direct":  # what goes on when `start` has returned
            left -= 1
            if left == 0:
                raise Killed

    for client in clients:
        client.meta.events.register_first("before-call", kill)
    try:
        for cut in range(1, 100):
            left = cut
            with suppress(Killed):
                start()
            if left > 0:
                return cut - 1
    finally:
        for client in clients:
            client.meta.events.unregister("before-call", kill)
    raise AssertionError("it never came to its end")
