"""The two minutes from EC2's notice to the end of a Spot machine: nothing is begun, nothing lost, all goes on."""

from __future__ import annotations

import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest

import fanfold
from fanfold.contract import cloud as contract
from fanfold.core.models import MachineRecord, RunStatus, records
from fanfold_runtime import machine as dedicated
from tests.aws.machines import ODD, UNHURRIED, put_work, state_of, work_of
from tests.aws.spot_metadata import SpotMetadata

HOST_PROGRAM = Path(contract.__file__).parents[3] / "infra" / "spot_notice.sh"


@pytest.fixture
def metadata(tmp_path):
    """A host's metadata, and the program that the host runs: it writes the notice into `tmp_path`/host."""
    served = SpotMetadata()
    program = subprocess.Popen(["sh", str(HOST_PROGRAM), served.address, str(tmp_path / "host"), "0.1"])
    yield served
    program.kill()
    program.wait()
    served.close()


@pytest.fixture
def spot(metadata, tmp_path):
    return {contract.ENV_SPOT_NOTICE: str(tmp_path / "host" / "instance-action")}


def computed(x: int, n: int, folder: str):
    import pathlib
    import time

    folder = pathlib.Path(folder)
    if (n, x) == (2, 0):
        (folder / "stands").touch()
        while not (folder / "go").exists():
            time.sleep(0.02)
    with (folder / "computed").open("a") as file:
        file.write(f"{n}.{x}\n")
    return x


def in_steps(n: int, folder: str):
    return sum(fanfold.step(f"step-{x}", computed, x, n, folder) for x in range(3))


def test_what_a_machine_has_computed_and_claimed_is_anothers_long_before_the_machine_is_gone(
    machine, aws_stores, metadata, spot, eventually, tmp_path
):
    header = put_work(aws_stores, in_steps, [{"n": n, "folder": str(tmp_path)} for n in range(6)])
    first = machine(header, **spot, **UNHURRIED, FANFOLD_LEASE_S="300")
    eventually((tmp_path / "stands").exists)
    metadata.take_back(within_s=120)
    # What it had claimed and not begun is offered, while it goes on with what it has begun.
    offered = eventually(lambda: [run.index for held in work_of(aws_stores, header).abandoned() for run in held.runs])
    assert 2 not in offered
    assert first.poll() is None
    (tmp_path / "go").touch()  # its step ends, is kept, and the run with it: nothing is left that needs this machine
    assert first.wait(60) == contract.EXIT_GIVEN_BACK
    first.send_signal(signal.SIGKILL)
    assert machine(header, AWS_BATCH_JOB_ATTEMPT="2").wait(60) == 0  # not a lease later: at once
    state = state_of(aws_stores, header)
    assert state.counts()[RunStatus.SUCCEEDED] == 6
    # The run that ended at its step has begun again after it, and no step was computed twice.
    assert state.attempt_of(2) == 1
    computed_once = {f"{n}.{x}": 1 for n in range(6) for x in range(3)}
    assert Counter((tmp_path / "computed").read_text().split()) == computed_once


def test_a_run_that_has_no_steps_is_given_back_before_the_machine_is_gone(
    machine, aws_stores, metadata, spot, eventually, tmp_path
):
    def waits(folder: str):
        import time
        from pathlib import Path

        (Path(folder) / "stands").touch()
        while True:
            time.sleep(0.05)

    header = put_work(aws_stores, waits, [{"folder": str(tmp_path)}])
    process = machine(header, **spot, command=ODD, TEST_ODD="leaves early")
    eventually((tmp_path / "stands").exists)
    metadata.take_back(within_s=72)  # it leaves 70 s before
    assert process.wait(60) == contract.EXIT_GIVEN_BACK
    assert dedicated._LEAVE_S > 2 * dedicated._GIVE_BACK_S  # as long before the end as it may take it
    [told] = records(state_of(aws_stores, header).job_events(), MachineRecord)
    assert (told.state, told.reason) == ("stopped", "EC2 takes this Spot machine back; 1 runs given back")
    [left] = work_of(aws_stores, header).abandoned()
    assert [run.index for run in left.runs] == [0]
