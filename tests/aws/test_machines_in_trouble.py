"""A dedicated machine whose disk is full, whose network is gone, that is told to stop early, or that has a bug."""

from __future__ import annotations

import json
import resource
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from fanfold.contract import cloud as contract
from fanfold.core.models import EventKind, MachineRecord, RunStatus, records
from fanfold_runtime import machine as dedicated
from tests.aws.cloud import frozen
from tests.aws.machines import ODD, put_work, state_of, work_of
from tests.aws.wire import Wire
from tests.stores.event_log_contract import by_id, read_all


def total(values):
    return int(values.sum())


def copies(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("fanfold/blobs/*")]


def test_arguments_that_find_no_room_are_fetched_again_when_there_is_some(machine, aws_stores, eventually, tmp_path):
    values = np.ones(400_000)
    header = put_work(aws_stores, total, [{"values": values}, {"values": values[:10]}])
    process = machine(header, command=ODD, file_bytes=1 << 20, TEST_ODD="soon")
    eventually(lambda: state_of(aws_stores, header).status_of(1) is RunStatus.SUCCEEDED)
    assert copies(tmp_path / "machine0") == []  # nothing half fetched takes the room that others need
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert process.wait(60) == 0
    state = state_of(aws_stores, header)
    assert (state.status_of(0), state.attempt_of(0)) == (RunStatus.SUCCEEDED, 0)


def test_arguments_that_find_no_room_to_the_end_are_the_end_of_their_run_alone(machine, aws_stores):
    header = put_work(aws_stores, total, [{"values": np.ones(400_000)}, {"values": np.ones(10)}], max_retry=1)
    assert machine(header, command=ODD, file_bytes=1 << 20, TEST_ODD="hasty").wait(60) == 0
    state = state_of(aws_stores, header)
    assert state.status_of(1) is RunStatus.SUCCEEDED
    assert (state.status_of(0), state.attempt_of(0)) == (RunStatus.FAILED, 1)
    assert "There is no room for blobs/" in state.error(0).message


def test_copies_of_runs_that_have_ended_make_room_for_those_to_come(machine, aws_stores, tmp_path):
    header = put_work(aws_stores, total, [{"values": np.full(100_000, n)} for n in range(4)])  # 0.8 MB each
    assert machine(header, command=ODD, TEST_ODD="thrifty").wait(60) == 0
    assert state_of(aws_stores, header).counts()[RunStatus.SUCCEEDED] == 4
    assert len(copies(tmp_path / "machine0")) <= 2


ONES = np.ones(400_000)


def test_a_machine_without_room_for_what_every_run_needs_says_why_there_is_one_less(machine, aws_stores):
    def scaled(factor: float):
        return factor * ONES[0]

    header = put_work(aws_stores, scaled, [1.0])
    assert machine(header, file_bytes=1 << 20).wait(60) == 1
    [told] = records(state_of(aws_stores, header).job_events(), MachineRecord)
    assert told.state == "failed"
    assert "There is no room for blobs/" in told.reason


def test_a_machine_that_a_bug_ends_says_so_and_gives_back_what_it_holds(machine, aws_stores):
    header = put_work(aws_stores, total, [{"values": 1}])
    assert machine(header, command=ODD, TEST_ODD="broken").wait(60) == 1
    [told] = records(state_of(aws_stores, header).job_events(), MachineRecord)
    assert told.reason == "RuntimeError: a bug of Fanfold's own"
    assert not work_of(aws_stores, header).in_others_hands("me")


@pytest.fixture
def wire(aws):
    wire = Wire(aws)
    yield wire
    wire.close()


def test_a_network_that_goes_and_comes_back_loses_nothing_and_repeats_nothing(machine, aws_stores, wire, eventually):
    def slow(n: int):
        import time

        time.sleep(0.1)
        return n

    header = put_work(aws_stores, slow, list(range(20)))
    process = machine(header, AWS_ENDPOINT_URL=wire.address)
    eventually(lambda: list(state_of(aws_stores, header).indexes(RunStatus.SUCCEEDED)))
    wire.cut()
    eventually(lambda: wire.refused >= 3)
    wire.reconnect()
    assert process.wait(90) == 0
    ends = [event for event in read_all(aws_stores.log, header.id) if event.kind is EventKind.FINISHED]
    assert sorted(event.index for event in by_id(ends).values()) == list(range(20))


def test_a_machine_that_comes_up_while_nothing_answers_waits_for_its_job(machine, aws_stores, wire, eventually):
    header = put_work(aws_stores, total, [{"values": np.ones(n)} for n in (1, 2)])
    wire.cut()
    process = machine(header, command=ODD, TEST_ODD="impatient", AWS_ENDPOINT_URL=wire.address)
    eventually(lambda: wire.refused >= 2)
    wire.reconnect()
    assert process.wait(60) == 0
    assert state_of(aws_stores, header).counts()[RunStatus.SUCCEEDED] == 2


def test_a_machine_waits_where_its_credentials_are_renewed_late(machine, aws_stores, eventually, tmp_path):
    """Its host renews them, and the runs that it holds are computed already."""

    def slow(n: int, folder: str):
        import time
        from pathlib import Path

        while not (Path(folder) / "go").exists():
            time.sleep(0.05)
        return n

    def keys(until: float) -> str:
        expiration = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until))
        return json.dumps({"Version": 1, "AccessKeyId": "k", "SecretAccessKey": "s", "Expiration": expiration})

    given, asked = tmp_path / "keys", tmp_path / "asked"
    given.write_text(keys(time.time() + 300))  # so near its end that every call renews them
    (tmp_path / "config").write_text(f"[default]\ncredential_process = sh -c 'echo >> {asked}; cat {given}'\n")
    header = put_work(aws_stores, slow, [{"n": n, "folder": str(tmp_path)} for n in range(2)])
    own = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}
    process = machine(header, AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="", AWS_SESSION_TOKEN="", **own)
    eventually(lambda: list(state_of(aws_stores, header).indexes(RunStatus.RUNNING)))
    given.write_text(keys(time.time() - 300))
    (tmp_path / "go").touch()
    before = asked.stat().st_size
    eventually(lambda: asked.stat().st_size > before)
    given.write_text(keys(time.time() + 300))
    assert process.wait(60) == 0
    ends = [event for event in read_all(aws_stores.log, header.id) if event.kind is EventKind.FINISHED]
    assert sorted(event.index for event in by_id(ends).values()) == [0, 1]


def catches_sigterm(pid: int) -> bool:
    """Whether a process has asked to be told of SIGTERM."""
    [mask] = [line.split()[1] for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "SigCgt" in line]
    return bool(int(mask, 16) >> (signal.SIGTERM - 1) & 1)


def test_a_machine_that_is_told_to_stop_before_it_has_heard_of_its_job_stops_in_the_same_way(
    machine, aws_stores, aws, eventually
):
    header = put_work(aws_stores, total, [{"values": 1}])
    with frozen(aws):
        process = machine(header)
        eventually(lambda: catches_sigterm(process.pid))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == contract.EXIT_GIVEN_BACK


def test_a_machine_that_is_told_to_stop_while_aws_is_silent_is_gone_in_time(machine, aws_stores, aws, eventually):
    def endless(values):
        import time

        time.sleep(1000)

    header = put_work(aws_stores, endless, [1])
    process = machine(header)
    eventually(lambda: list(state_of(aws_stores, header).indexes(RunStatus.RUNNING)))
    with frozen(aws):
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == contract.EXIT_GIVEN_BACK  # no request is waited for
    assert dedicated._GIVE_BACK_S <= 5  # half a minute later Batch kills it; the issue asks for 5 s
