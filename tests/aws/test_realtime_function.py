"""The realtime function under the real runtime client: what it does with a run, and with a run that breaks it."""

from __future__ import annotations

import json
import signal
import threading
import time
from pathlib import Path

import pytest

from fanfold.contract import cloud as contract
from fanfold.core.models import EventKind, RunStatus
from fanfold.job.results import Contents
from fanfold.stores.state import read_state
from tests.aws.cloud import ENVIRONMENT
from tests.aws.lambda_host import HANDLER, LambdaHost
from tests.aws.udfs import payload, put_job
from tests.conftest import LIMIT_S
from tests.stores.event_log_contract import read_all


@pytest.fixture
def function(aws, deployment, tmp_path, request):
    """The function of this test's deployment; its handler may be another's."""
    environment = {
        **ENVIRONMENT,
        "AWS_ENDPOINT_URL": aws,
        "FANFOLD_DEPLOYMENT": deployment.name,
        contract.ENV_TABLE: deployment.table,
        contract.ENV_BUCKET: deployment.bucket,
    }
    host = LambdaHost(environment, folder=tmp_path, handler=getattr(request, "param", HANDLER))
    yield host
    host.close()


def run(function, stores, header, index=0, **limits):
    return function.invoke(payload(stores, header, index), **limits)


def value(stores, header, index=0):
    state = read_state(stores.log, header)
    output = state.output(index)
    assert output is not None, state.error(index)
    return Contents(header, stores).value(index, output)


def test_a_run_leaves_its_result_its_output_and_what_it_took(function, aws_stores):
    def double(n: int):
        print("doubling", n)
        return {"n": 2 * n}

    header = put_job(aws_stores, double, [1, 21])
    answer = run(function, aws_stores, header, 1)
    assert (answer.error, answer.payload) == (None, {"status": ["succeeded"]})
    assert value(aws_stores, header, 1) == {"n": 42}
    assert Contents(header, aws_stores).telemetry is not None
    [printed] = read_all(aws_stores.log, header.id, "telemetry")
    assert printed.data["text"] == "doubling 21\n"
    usage = read_state(aws_stores.log, header).usage(1)
    assert usage.duration_s >= 0
    assert usage.peak_memory_mib > 1


def test_a_call_that_is_made_again_after_its_answer_was_lost_performs_nothing(function, aws_stores, tmp_path):
    def mark(folder: str):
        import uuid
        from pathlib import Path

        (Path(folder) / uuid.uuid4().hex).touch()

    marks = tmp_path / "marks"
    marks.mkdir()
    header = put_job(aws_stores, mark, [str(marks)])
    asked = {**payload(aws_stores, header, 0), "token": f"{header.id}/0/0"}
    assert function.invoke(asked).payload == {"status": ["succeeded"]}
    assert function.invoke(asked).payload == {"status": []}
    assert len(list(marks.iterdir())) == 1
    other = {**payload(aws_stores, header, 0, attempt=1), "token": f"{header.id}/0/1"}
    assert function.invoke(other).payload == {"status": ["succeeded"]}
    assert len(list(marks.iterdir())) == 2


def test_results_of_the_function_serve_again_from_the_cache(function, aws_stores):
    def double(n: int):
        return 2 * n

    header = put_job(aws_stores, double, [4])
    run(function, aws_stores, header)
    again = put_job(aws_stores, double, [4])
    state = read_state(aws_stores.log, again)
    assert state.status_of(0) is RunStatus.CACHED


def test_a_result_and_arguments_that_are_large_travel_by_reference(function, aws_stores):
    import numpy as np

    def scaled(text: str, array, factor: int):
        return len(text), array * factor

    array = np.arange(50_000)
    header = put_job(aws_stores, scaled, [{"text": "x" * 100_000, "array": array}], constants={"factor": 3})
    sent = payload(aws_stores, header, 0)
    assert "range" in sent["run"]["arguments"]
    assert function.invoke(sent).error is None
    length, result = value(aws_stores, header)
    assert length == 100_000
    assert (result == array * 3).all()
    assert read_state(aws_stores.log, header).output(0).key.startswith("results/")


def test_numbers_come_through_the_state_machines_exactly(function, aws_stores):
    def echo(big: int, small: float):
        return big, small

    header = put_job(aws_stores, echo, [{"big": 12345678901234567890, "small": 1.0}])
    run(function, aws_stores, header)
    assert value(aws_stores, header) == (12345678901234567890, 1.0)


def test_an_error_of_the_users_keeps_its_traceback(function, aws_stores):
    def broken(n: int):
        raise ValueError(f"no such day: {n}")

    header = put_job(aws_stores, broken, [3])
    assert run(function, aws_stores, header).payload == {"status": ["failed"]}
    error = read_state(aws_stores.log, header).error(0)
    assert error.message == "no such day: 3"
    assert "test_realtime_function.py" in error.traceback
    assert not error.infrastructure


def test_a_deadline_is_met_before_lambdas_own_and_the_environment_lives_on(function, aws_stores):
    def slow(n: int):
        import time

        print("begun", flush=True)
        time.sleep(60 * n)
        return n

    header = put_job(aws_stores, slow, [1, 0], timeout_s=LIMIT_S)
    assert run(function, aws_stores, header, 0).payload == {"status": ["timed_out"]}
    process = function.process
    assert run(function, aws_stores, header, 1).error is None
    assert function.process is process
    state = read_state(aws_stores.log, header)
    assert state.status_of(0) is RunStatus.TIMED_OUT
    assert "time.sleep" in state.error(0).traceback or "slow" in state.error(0).traceback
    assert read_all(aws_stores.log, header.id, "telemetry")[0].data["text"] == "begun\n"


@pytest.mark.parametrize("function", ["tests.aws.late_function.handler"], indirect=True)
def test_the_deadline_takes_into_account_how_long_it_took_to_fetch_what_the_run_needs(function, aws_stores):
    def endless(n: int):
        while True:
            pass

    header = put_job(aws_stores, endless, [1], max_retry=0)
    assert run(function, aws_stores, header, timeout_s=60).error is None
    state = read_state(aws_stores.log, header)
    assert state.status_of(0) is RunStatus.TIMED_OUT
    assert "after 1 s, which is the limit: the start of its environment has taken" in state.error(0).message


@pytest.mark.parametrize("function", ["tests.aws.late_function.handler"], indirect=True)
def test_a_run_whose_time_a_cold_start_has_taken_is_tried_again(function, aws_stores):
    def endless(n: int):
        while True:
            pass

    header = put_job(aws_stores, endless, [1], timeout_s=110, max_retry=1)
    assert run(function, aws_stores, header, timeout_s=60).payload == {"status": ["failed"]}
    state = read_state(aws_stores.log, header)
    assert (state.status_of(0), state.attempt_of(0)) == (RunStatus.QUEUED, 1)
    assert "the start of its environment has taken" in state.error(0).message


def test_a_run_that_takes_too_much_memory_ends_and_the_environment_lives_on(function, aws_stores):
    def hungry(n: int):
        import time

        data = bytearray(n * 2**20)
        time.sleep(30 if n else 0)
        return len(data)

    header = put_job(aws_stores, hungry, [400, 0])
    assert run(function, aws_stores, header, 0, memory_mib=512).payload == {"status": ["out_of_memory"]}
    assert run(function, aws_stores, header, 1).payload == {"status": ["succeeded"]}


def test_a_crash_of_the_run_is_told_and_the_environment_lives_on(function, aws_stores):
    def crash(n: int):
        import os

        os.kill(os.getpid(), n) if n else None
        return n

    header = put_job(aws_stores, crash, [int(signal.SIGSEGV), 0])
    assert run(function, aws_stores, header, 0).payload == {"status": ["failed"]}
    error = read_state(aws_stores.log, header).error(0)
    assert (error.type, error.infrastructure) == ("WorkerDied", True)
    assert "SIGSEGV" in error.message
    assert run(function, aws_stores, header, 1).payload == {"status": ["succeeded"]}


def test_a_job_that_was_cancelled_before_does_not_run(function, aws_stores):
    def never():
        raise AssertionError

    header = put_job(aws_stores, never, [{}])
    aws_stores.log.request_cancel(header.id, time.time())
    assert run(function, aws_stores, header).payload == {"status": ["cancelled"]}
    assert read_state(aws_stores.log, header).status_of(0) is RunStatus.CANCELLED


def test_a_job_that_is_cancelled_ends_its_running_run_within_seconds(function, aws_stores, eventually):
    def endless():
        import time

        time.sleep(100)

    header = put_job(aws_stores, endless, [{}])
    invocation = threading.Thread(target=run, args=(function, aws_stores, header))
    invocation.start()
    started = lambda: any(event.kind is EventKind.STARTED for event in read_all(aws_stores.log, header.id))  # noqa: E731
    eventually(started)
    aws_stores.log.request_cancel(header.id, time.time())
    invocation.join(60)
    assert not invocation.is_alive()
    assert read_state(aws_stores.log, header).status_of(0) is RunStatus.CANCELLED


def test_output_comes_while_the_run_goes_on(function, aws_stores, eventually, tmp_path):
    def talks(path: str):
        import time
        from pathlib import Path

        for n in range(3):
            print("line", n, flush=True)
            while n == 1 and not Path(path).exists():
                time.sleep(0.02)

    header = put_job(aws_stores, talks, [str(tmp_path / "go")])
    invocation = threading.Thread(target=run, args=(function, aws_stores, header))
    invocation.start()
    eventually(lambda: read_all(aws_stores.log, header.id, "telemetry"))
    assert invocation.is_alive()
    (tmp_path / "go").touch()
    invocation.join(60)
    text = "".join(event.data["text"] for event in read_all(aws_stores.log, header.id, "telemetry"))
    assert text == "line 0\nline 1\nline 2\n"


def test_its_log_names_the_run_and_holds_neither_arguments_nor_variables(function, aws_stores):
    def whisper(word: str):
        return word

    header = put_job(aws_stores, whisper, ["a-secret-argument"])
    run(function, aws_stores, header)
    lines = [json.loads(line) for line in function.log.read_text().splitlines() if line.startswith("{")]
    [told] = [line for line in lines if line.get("message") == "run ended"]
    assert (told["job"], told["run"], told["attempt"], told["status"]) == (header.id, 0, 0, "succeeded")
    [metrics] = [line for line in lines if "_aws" in line]
    assert metrics[contract.METRIC_RUNS] == [1.0]
    assert metrics[contract.METRIC_FAILED] == [0.0]
    text = function.log.read_text()
    assert "a-secret-argument" not in text
    assert ENVIRONMENT["AWS_SECRET_ACCESS_KEY"] not in text


def test_a_udf_does_not_see_what_leads_to_fanfolds_own_records(function, aws_stores, account):
    def look():
        import os

        import psutil

        parent = f"/proc/{psutil.Process(os.getppid()).ppid()}/environ"
        return sorted(os.environ), os.stat(parent).st_uid, os.stat("/proc/self/environ").st_uid

    header = put_job(aws_stores, look, [{}], cache=False)
    function.environment[contract.ENV_DATA_ROLE] = "arn:aws:iam::123456789012:role/data"
    assert run(function, aws_stores, header).error is None
    names, _, _ = value(aws_stores, header)
    assert {contract.ENV_TABLE, contract.ENV_BUCKET, contract.ENV_DATA_ROLE, "AWS_LAMBDA_RUNTIME_API"}.isdisjoint(names)
    assert {"AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_REGION"} <= set(names)


def test_a_udf_gets_the_credentials_of_the_data_role(function, aws_stores):
    def whose():
        import os

        return os.environ["AWS_ACCESS_KEY_ID"]

    header = put_job(aws_stores, whose, [{}], cache=False)
    function.environment[contract.ENV_DATA_ROLE] = "arn:aws:iam::123456789012:role/data"
    run(function, aws_stores, header)
    assert value(aws_stores, header) not in ("testing", "")


def test_what_an_owner_s_runs_leave_in_their_home_is_not_there_for_another_owner(function, aws_stores, monkeypatch):
    """Else `~/.aws/config` would send the next owner's requests, and data, wherever the first one likes."""

    def leave(n: int):
        from pathlib import Path

        planted = Path.home() / ".aws" / "config"
        before = planted.exists()
        planted.parent.mkdir(exist_ok=True)
        planted.write_text("[default]\nendpoint_url = https://example.com")
        return [str(planted), before]

    monkeypatch.setenv("FANFOLD_OWNER", "ada")
    ada = put_job(aws_stores, leave, [1, 2])
    monkeypatch.setenv("FANFOLD_OWNER", "grace")
    grace = put_job(aws_stores, leave, [1, 2])
    for header, index in ((ada, 0), (ada, 1), (grace, 0)):
        run(function, aws_stores, header, index)
    places = [value(aws_stores, ada, 0), value(aws_stores, ada, 1), value(aws_stores, grace, 0)]
    assert [before for _, before in places] == [False, True, False]
    assert not Path(places[0][0]).exists()
    assert Path(places[2][0]).exists()


def test_a_run_that_puts_something_in_the_place_of_the_runtime_s_folder_spoils_no_later_run(function, aws_stores):
    def spoil(n: int):
        from pathlib import Path

        folder = Path.home().parent
        folder.rename(folder.with_name("moved"))
        folder.write_text("no folder")

    run(function, aws_stores, put_job(aws_stores, spoil, [1]))

    def plain(n: int):
        return n

    header = put_job(aws_stores, plain, [1])
    assert run(function, aws_stores, header).payload == {"status": ["succeeded"]}
