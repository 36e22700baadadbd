"""A run of machines with two tries at once: whatever becomes of either, it ends once, and no try is made twice."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from fanfold.core.models import EventKind, RunRef, RunStatus
from fanfold_runtime.rival_tries import RivalTries
from tests.aws.machines import put_work, state_of, work_of
from tests.stores.event_log_contract import read_all

#: Of machines that live; and of one that is killed, so that others need not wait for long.
LEASE, SHORT_LEASE = {"FANFOLD_LEASE_S": "20"}, {"FANFOLD_LEASE_S": "4"}


def waits(folder: str):
    """Each try notes that it has begun, and waits for a file that says how it is to end."""
    import time
    from pathlib import Path

    import fanfold

    attempt = fanfold.attempt()
    with (Path(folder) / "begun").open("a") as file:
        file.write(f"{attempt} ")
    while True:
        if (Path(folder) / f"fail{attempt}").exists():
            raise ValueError(f"try {attempt} fails")
        if (Path(folder) / f"end{attempt}").exists():
            return attempt
        time.sleep(0.02)


@pytest.fixture
def begun(tmp_path):
    """The numbers of the tries that have begun."""
    return lambda: (tmp_path / "begun").read_text().split() if (tmp_path / "begun").exists() else []


@pytest.fixture
def two_tries(machine, aws_stores, begun, eventually, tmp_path):
    """A job of one run whose first try one machine makes, and another its duplicate: the job, and the two machines."""

    def start(lease=LEASE, **asked):
        header = put_work(aws_stores, waits, [str(tmp_path)], hedge=True, **asked)
        first = machine(header, **lease)
        eventually(lambda: begun() == ["0"])
        eventually(lambda: state_of(aws_stores, header).status_of(0) is RunStatus.RUNNING)
        work_of(aws_stores, header).offer_try(RunRef(0, 1, 0))
        second = machine(header, 1, **lease)
        eventually(lambda: begun() == ["0", "1"])
        return header, first, second

    return start


@pytest.mark.long
def test_where_one_fails_the_other_goes_on_and_is_the_run_s(two_tries, aws_stores, tmp_path, begun):
    header, first, second = two_tries(max_retry=2, retry_on=["ValueError"])
    (tmp_path / "fail0").touch()
    assert first.wait(60) == 0, "it tries nothing again while another is at it"
    assert state_of(aws_stores, header).status_of(0) is RunStatus.RUNNING
    (tmp_path / "end1").touch()
    assert second.wait(60) == 0
    state = state_of(aws_stores, header)
    assert (state.status_of(0), state.attempt_of(0), begun()) == (RunStatus.SUCCEEDED, 1, ["0", "1"])


@pytest.mark.parametrize("max_retry", [pytest.param(1, marks=pytest.mark.long), 2])
def test_where_both_fail_it_is_tried_again_once_or_has_failed(
    two_tries, aws_stores, eventually, tmp_path, begun, max_retry
):
    header, first, second = two_tries(max_retry=max_retry, retry_on=["ValueError"])
    for name in ("fail0", "fail1", "end2"):
        (tmp_path / name).touch()
    assert [first.wait(60), second.wait(60)] == [0, 0]
    state = state_of(aws_stores, header)
    ends = {1: (RunStatus.FAILED, ["0", "1"]), 2: (RunStatus.SUCCEEDED, ["0", "1", "2"])}
    assert (state.status_of(0), begun()) == ends[max_retry]


def test_a_try_that_is_lost_with_its_machine_takes_nothing_of_what_the_other_has(
    two_tries, aws_stores, tmp_path, begun
):
    header, first, second = two_tries(SHORT_LEASE, max_retry=0)
    first.send_signal(signal.SIGKILL)
    (tmp_path / "fail1").touch()
    (tmp_path / "end2").touch()
    assert second.wait(60) == 0
    state = state_of(aws_stores, header)
    assert (state.status_of(0), state.attempt_of(0), begun()) == (RunStatus.SUCCEEDED, 2, ["0", "1", "2"])
    ends = [event for event in read_all(aws_stores.log, header.id) if event.kind is EventKind.FINISHED]
    assert {event.attempt: event.status for event in ends} == {
        0: RunStatus.LOST,
        1: RunStatus.FAILED,
        2: RunStatus.SUCCEEDED,
    }


@pytest.mark.long
def test_a_run_without_a_duplicate_that_is_lost_with_its_machine_is_begun_anew(
    machine, aws_stores, eventually, tmp_path, begun
):
    header = put_work(aws_stores, waits, [str(tmp_path)], hedge=True, max_retry=0)
    first = machine(header, **SHORT_LEASE)
    eventually(lambda: begun() and state_of(aws_stores, header).status_of(0) is RunStatus.RUNNING)
    first.send_signal(signal.SIGKILL)
    first.wait()
    (tmp_path / "end1").touch()
    assert machine(header, 1, **SHORT_LEASE).wait(60) == 0
    state = state_of(aws_stores, header)
    assert (state.status_of(0), state.attempt_of(0), begun()) == (RunStatus.SUCCEEDED, 1, ["0", "1"])


def test_of_a_duplicate_and_a_retry_with_one_number_one_is_made(aws_stores):
    header = put_work(aws_stores, waits, ["here"], hedge=True)
    work, run = work_of(aws_stores, header), RunRef(0, 1, 0)
    assert work.claim_try(run, "a")
    assert work.claim_try(run, "a"), "said again, as after a lost answer"
    assert not work.claim_try(run, "b")
    work.offer_try(run)
    assert list(work.abandoned()) == [], "who makes it already has it"
    laid_out = RunRef(0, 2, 0)
    work.offer_try(laid_out)
    (offered,) = work.abandoned()
    assert work.take_over(offered) == [laid_out]
    assert not work.claim_try(laid_out, "a"), "another has taken it over"
    work.offer_try(RunRef(0, 3, 0))
    assert work.claim_try(RunRef(0, 3, 0), "a"), "what nobody has taken is the retry of who asks first"
    assert not work.claim_try(RunRef(0, 3, 0), "b")


@pytest.mark.parametrize(
    ("held", "stays"),
    [
        ({"a": range(2, 6)}, True),  # the three after its first are short, and then the slow one is known
        ({"a": range(5, 6)}, True),
        ({"a": range(2, 4), "b": range(4, 6)}, False),  # who of them ends all it holds stays for the other
        ({"a": range(4, 5), "b": range(5, 6)}, False),
        ({}, False),
    ],
)
def test_a_machine_stays_for_duplicates_of_what_another_holds_also_before_that_has_begun_it(aws_stores, held, stays):
    header = put_work(aws_stores, waits, ["here"] * 6, hedge=True)
    work = work_of(aws_stores, header)
    runs = work.take(6)
    for name, places in held.items():
        work.hold(name, [runs[place] for place in places])
    assert RivalTries(header, aws_stores.log, work, "idle").may_come() is stays


def test_of_machines_that_ask_at_once_one_makes_a_try(aws_stores):
    header = put_work(aws_stores, waits, ["here"], hedge=True)
    with ThreadPoolExecutor(4) as machines:
        for attempt in range(1, 21):
            claim = partial(work_of(aws_stores, header).claim_try, RunRef(0, attempt, 0))
            assert list(machines.map(claim, "abcd")).count(True) == 1
