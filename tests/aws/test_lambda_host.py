"""What stands in for a function's environment: one that died has no part in what comes after it."""

from __future__ import annotations

import os
import signal

import pytest

from tests.aws.lambda_host import LambdaHost


@pytest.fixture
def host(tmp_path):
    host = LambdaHost({}, folder=tmp_path, handler="tests.aws.plain_function.handler")
    yield host
    host.close()


def answered(host):
    answer = host.invoke({"size": 2}, timeout_s=20)
    assert (answer.error, answer.payload) == (None, {"text": "xx"})


def kill(host):
    os.killpg(host.process.pid, signal.SIGKILL)
    host.process.wait()


def test_an_environment_that_dies_while_it_is_idle_is_replaced(host):
    for _ in range(3):
        answered(host)
        kill(host)
    answered(host)


def test_an_answer_that_came_too_late_is_nobody_s(host):
    answered(host)
    kill(host)
    host.api.answers.put(("response", b'{"text": "of the one that died"}'))
    answered(host)


def test_a_call_that_outlasts_its_time_takes_its_environment_along(host):
    answered(host)
    before = host.process.pid
    os.kill(before, signal.SIGSTOP)
    assert host.invoke({"size": 1}, timeout_s=0.2).error == "Sandbox.Timedout"
    answered(host)
    assert host.process.pid != before


def test_none_is_started_once_it_is_closed(host):
    host.close()
    with pytest.raises(RuntimeError, match="gone"):
        host.invoke({"size": 1})
