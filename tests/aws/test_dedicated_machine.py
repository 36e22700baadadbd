"""A dedicated machine, as a real process against moto: claims, leases, being told to stop, being lost."""

from __future__ import annotations

import os
import signal
import time

import pytest

from fanfold.contract import cloud as contract
from fanfold.core.models import EventKind, MachineRecord, RunStatus, records
from fanfold.core.options import Retry
from fanfold.job.results import Contents
from tests.aws.machines import ODD, UNHURRIED, put_work, state_of, work_of
from tests.stores.event_log_contract import read_all


def test_a_machine_performs_every_run_and_says_when_it_comes_and_goes(machine, aws_stores):
    def double(n: int):
        print("doubling", n)
        return 2 * n

    header = put_work(aws_stores, double, list(range(7)), n_processes_per_worker=2)
    assert machine(header).wait(60) == 0
    state = state_of(aws_stores, header)
    contents = Contents(header, aws_stores)
    assert [contents.value(index, state.output(index)) for index in range(7)] == [2 * n for n in range(7)]
    [told] = records(state.job_events(), MachineRecord)
    assert (told.state, told.name) == ("done", f"{told.batch_job}.1")
    telemetry = read_all(aws_stores.log, header.id, "telemetry")
    printed = {event.index: event.data["text"] for event in telemetry if event.kind is EventKind.LOG}
    assert printed == {n: f"doubling {n}\n" for n in range(7)}


def test_two_machines_share_the_work_and_do_none_of_it_twice(machine, aws_stores):
    def slow(n: int):
        import time

        time.sleep(0.05)
        return n

    header = put_work(aws_stores, slow, list(range(40)))
    machines = [machine(header, index, FANFOLD_LEASE_S="20") for index in range(2)]
    assert [process.wait(60) for process in machines] == [0, 0]
    ends = [event for event in read_all(aws_stores.log, header.id) if event.kind is EventKind.FINISHED]
    assert sorted({event.id: event.index for event in ends}.values()) == list(range(40))


def test_a_run_whose_process_dies_is_tried_again_by_the_machine(machine, aws_stores, tmp_path):
    def dies_once(folder: str):
        from pathlib import Path

        mark = Path(folder) / "mark"
        if not mark.exists():
            mark.touch()
            os._exit(3)
        return folder

    header = put_work(aws_stores, dies_once, [str(tmp_path)])
    assert machine(header).wait(60) == 0
    state = state_of(aws_stores, header)
    assert (state.status_of(0), state.attempt_of(0)) == (RunStatus.SUCCEEDED, 1)


def test_a_machine_keeps_the_pause_before_another_try(machine, aws_stores, tmp_path):
    def refused_once(folder: str):
        from pathlib import Path

        mark = Path(folder) / "mark"
        if not mark.exists():
            mark.touch()
            raise TimeoutError("busy")
        return folder

    header = put_work(aws_stores, refused_once, [str(tmp_path)], retry=Retry(1, (TimeoutError,), 0.7, jitter=False))
    assert machine(header).wait(60) == 0
    events = read_all(aws_stores.log, header.id)
    ends = {event.attempt: event for event in events if event.kind is EventKind.FINISHED}
    assert ends[1].status is RunStatus.SUCCEEDED
    assert ends[1].at - ends[1].usage.duration_s - ends[0].at >= 0.7 - 0.01


def test_a_machine_that_is_told_to_stop_gives_its_runs_back_and_another_finishes_them(
    machine, aws_stores, eventually, tmp_path
):
    gate = tmp_path / "gate"

    def waits(n: int, gate: str):
        import time

        while not os.path.exists(gate):
            time.sleep(0.02)
        return n

    header = put_work(aws_stores, waits, list(range(3)), constants={"gate": str(gate)}, n_processes_per_worker=2)
    first = machine(header, **UNHURRIED)
    eventually(lambda: len(list(state_of(aws_stores, header).indexes(RunStatus.RUNNING))) == 2)
    first.send_signal(signal.SIGTERM)
    assert first.wait(40) == contract.EXIT_GIVEN_BACK  # as soon as it has, and not when its time is over
    assert len(list(work_of(aws_stores, header).abandoned())) == 1
    gate.touch()
    assert machine(header, 1).wait(60) == 0
    state = state_of(aws_stores, header)
    assert state.counts()[RunStatus.SUCCEEDED] == 3
    assert {state.attempt_of(index) for index in range(3)} == {0}


def test_a_machine_that_is_killed_loses_nothing_when_its_lease_is_over(machine, aws_stores, eventually, tmp_path):
    gate = tmp_path / "gate"

    def waits(n: int, gate: str):
        import time

        while not os.path.exists(gate):
            time.sleep(0.02)
        return n

    header = put_work(aws_stores, waits, list(range(2)), constants={"gate": str(gate)})
    first = machine(header, FANFOLD_LEASE_S="1")
    eventually(lambda: list(state_of(aws_stores, header).indexes(RunStatus.RUNNING)))
    first.kill()
    eventually(lambda: list(work_of(aws_stores, header).abandoned()))
    gate.touch()
    assert machine(header, 1).wait(60) == 0
    assert state_of(aws_stores, header).counts()[RunStatus.SUCCEEDED] == 2


def test_a_machine_that_dies_last_but_one_is_waited_for_by_the_last(machine, aws_stores, eventually, tmp_path):
    """Batch starts no other in its place, and nobody may be there to start the job's lost runs again."""

    def waits(n: int, gate: str):
        import time

        while not os.path.exists(f"{gate}{n}"):
            time.sleep(0.02)
        return n

    gate = str(tmp_path / "gate")
    header = put_work(aws_stores, waits, list(range(2)), constants={"gate": gate})
    machines = {}
    for name in ("first", "second"):
        machines[name] = machine(header, len(machines), FANFOLD_LEASE_S="2")
        eventually(lambda: len(list(state_of(aws_stores, header).indexes(RunStatus.RUNNING))) == len(machines))
    machines["first"].kill()
    for n in range(2):
        (tmp_path / f"gate{n}").touch()
    assert machines["second"].wait(60) == 0
    assert state_of(aws_stores, header).counts()[RunStatus.SUCCEEDED] == 2


@pytest.mark.long  # it waits for a lease as long as they are
def test_what_a_lost_machine_held_is_taken_up_within_a_minute_by_one_that_has_room(
    machine, aws_stores, eventually, tmp_path
):
    def waits(n: int, gate: str):
        import time

        while not os.path.exists(gate):
            time.sleep(0.02)
        return n

    gate = tmp_path / "gate"
    header = put_work(aws_stores, waits, list(range(3)), constants={"gate": str(gate)}, n_processes_per_worker=2)
    machines = {}
    for running in (2, 3):
        machines[running] = machine(header, len(machines))
        eventually(
            lambda running=running: len(list(state_of(aws_stores, header).indexes(RunStatus.RUNNING))) == running
        )
    work = work_of(aws_stores, header)
    [lost] = [held.machine for held in work.held_by_all() if len(held.runs) == 2]
    machines[2].kill()
    eventually(lambda: [one for one in work.held_by_all() if one.machine != lost and len(one.runs) > 1], within_s=60)
    gate.touch()
    assert machines[3].wait(60) == 0
    assert state_of(aws_stores, header).counts()[RunStatus.SUCCEEDED] == 3


def test_a_machine_does_not_wait_for_others_that_are_at_work(machine, aws_stores, eventually, tmp_path):
    def waits(n: int, gate: str):
        import time

        while n and not os.path.exists(gate):
            time.sleep(0.02)
        return n

    header = put_work(aws_stores, waits, [1, 0], constants={"gate": str(tmp_path / "gate")})
    first = machine(header, 0, FANFOLD_LEASE_S="20")
    eventually(lambda: list(state_of(aws_stores, header).indexes(RunStatus.RUNNING)))
    assert machine(header, 1, FANFOLD_LEASE_S="20").wait(60) == 0
    assert first.poll() is None
    (tmp_path / "gate").touch()
    assert first.wait(60) == 0


def test_what_was_recorded_a_moment_ago_is_not_run_again(machine, aws_stores, tmp_path):
    def counted(n: int, folder: str):
        import tempfile

        tempfile.mkstemp(dir=folder)
        return n

    (tmp_path / "runs").mkdir()
    header = put_work(aws_stores, counted, [1], constants={"folder": str(tmp_path / "runs")})
    assert machine(header, command=ODD, TEST_ODD="lagging").wait(60) == 0
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_a_cancel_ends_what_runs_and_the_machine(machine, aws_stores, eventually):
    def endless(n: int):
        import time

        time.sleep(1000)

    header = put_work(aws_stores, endless, [1, 2])
    process = machine(header)
    eventually(lambda: list(state_of(aws_stores, header).indexes(RunStatus.RUNNING)))
    aws_stores.log.request_cancel(header.id, time.time())
    assert process.wait(60) == 0
    state = state_of(aws_stores, header)
    assert state.done
    assert state.counts()[RunStatus.CANCELLED] == 2


def test_a_machine_that_is_terminated_for_a_cancel_says_what_was_cancelled(machine, aws_stores, eventually):
    def endless(n: int):
        import time

        time.sleep(1000)

    header = put_work(aws_stores, endless, [1])
    process = machine(header, **UNHURRIED)
    eventually(lambda: list(state_of(aws_stores, header).indexes(RunStatus.RUNNING)))
    aws_stores.log.request_cancel(header.id, time.time())
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) in (0, contract.EXIT_GIVEN_BACK)
    assert state_of(aws_stores, header).status_of(0) is RunStatus.CANCELLED


def test_large_results_are_stored_before_the_run_counts_as_done(machine, aws_stores):
    def large(n: int):
        return bytes(n)

    header = put_work(aws_stores, large, [100_000])
    assert machine(header).wait(60) == 0
    output = state_of(aws_stores, header).output(0)
    assert aws_stores.objects.get(output.key) == bytes(100_000)


def test_runs_that_fell_between_two_machines_are_found_by_the_last(machine, aws_stores):
    def double(n: int):
        return 2 * n

    header = put_work(aws_stores, double, list(range(6)))
    work_of(aws_stores, header).take(2)  # by a machine that died before it could say so
    assert machine(header, command=ODD, TEST_ODD="quick").wait(60) == 0
    assert state_of(aws_stores, header).counts()[RunStatus.SUCCEEDED] == 6


def test_a_second_attempt_of_a_machine_goes_on_with_what_the_first_held_at_once(machine, aws_stores):
    def double(n: int):
        return 2 * n

    header = put_work(aws_stores, double, list(range(4)))
    work = work_of(aws_stores, header)
    work.hold(f"{header.id}:0.1", work.take(3))  # and then its host was taken away
    assert machine(header, AWS_BATCH_JOB_ATTEMPT="2").wait(60) == 0
    state = state_of(aws_stores, header)
    assert state.counts()[RunStatus.SUCCEEDED] == 4
    assert {state.attempt_of(index) for index in range(4)} == {0}


def test_a_run_that_takes_more_than_its_share_of_the_machine_is_told_so_and_may_be_tried_again(machine, aws_stores):
    def hungry(mib: int):
        import time

        data = bytearray(mib << 20)
        time.sleep(30 if mib else 0)
        return len(data)

    header = put_work(aws_stores, hungry, [400, 0], n_processes_per_worker=8, retry_on=(MemoryError,), max_retry=1)
    assert header.memory_mib == 256
    assert machine(header).wait(60) == 0
    state = state_of(aws_stores, header)
    assert (state.status_of(0), state.attempt_of(0)) == (RunStatus.OUT_OF_MEMORY, 1)
    assert state.status_of(1) is RunStatus.SUCCEEDED
