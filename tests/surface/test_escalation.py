"""`escalate=`: what is too large for the realtime path is run again on a machine, within the same call."""

from __future__ import annotations

import pytest

import fanfold
from fanfold.engines.larger import larger_jobs
from fanfold.engines.local.chaos import Chaos
from fanfold.settings import Conditions
from tests.conftest import LIMIT_S


@fanfold.udf(timeout_s=LIMIT_S)
def slow_once(x: int, factor: int = 10, begun: str = ""):
    """Too slow the first time that it is given 1."""
    wait_once(x, begun)
    return x * factor


def wait_once(x: int, begun: str):
    import pathlib
    import time

    mark = pathlib.Path(begun, "begun")
    if x == 1 and not mark.exists():
        mark.touch()
        time.sleep(60)


@fanfold.udf(memory_mib=300)
def hungry_once(x: int):
    import time

    held = bytearray((900 if x == 1 else 1) << 20)
    time.sleep(1 if x == 1 else 0)
    return len(held) >> 20


@fanfold.udf(timeout_s=LIMIT_S)
def slow_and_wrong(x: int, begun: str):
    wait_once(x, begun)
    if x == 1:
        raise ValueError("wrong, at last")
    return x


def jobs():
    """The first job, and the one that its larger runs became."""
    larger, first = fanfold.get_jobs(limit=2)
    return first, larger


@pytest.mark.usefixtures("engine")
def test_what_met_the_time_limit_is_run_on_a_machine_and_collected_with_the_others(capfd, tmp_path):
    frame = fanfold.submit(slow_once, range(3), factor=7, begun=str(tmp_path), escalate="medium")
    assert frame.result.to_dict() == {0: 0, 1: 7, 2: 14}
    first, larger = jobs()
    assert f"fanfold: 1 run was too large, and runs again on medium: job {larger.id}\n" in capfd.readouterr().err
    assert (first.header.instance_type, larger.header.instance_type) == (None, "medium")
    assert first.counts() == {"succeeded": 3}
    assert larger.counts() == {"succeeded": 1}
    assert first.results() == [0, 7, 14]  # for a later look, too
    assert first.verify().complete
    assert f"1 run on medium: job {larger.id}" in str(first.summary())


def test_so_is_what_met_the_memory_limit():
    assert fanfold.submit(hungry_once, range(3), escalate="medium").result.to_dict() == {0: 1, 1: 900, 2: 1}


@pytest.mark.slow
def test_the_caches_stay_separate(tmp_path):
    for _ in range(2):
        (tmp_path / "begun").unlink(missing_ok=True)
        fanfold.submit(slow_once, range(3), begun=str(tmp_path), escalate="medium")
    first, larger = jobs()
    assert first.counts() == {"cached": 3}  # two from the realtime path's, and one from the machine's, after a try
    assert first[1].attempt == 1
    assert larger.counts() == {"cached": 1}


def test_what_fails_there_too_is_told_as_it_failed_there(tmp_path):
    with pytest.raises(fanfold.RunFailed, match="ValueError: wrong, at last"):
        fanfold.submit(slow_and_wrong, range(3), begun=str(tmp_path), escalate="medium")
    assert jobs()[0].counts() == {"failed": 1, "succeeded": 2}


@pytest.mark.slow
def test_debug_mode_gives_the_value_from_the_machine(tmp_path):
    assert fanfold.submit(slow_once, [1], begun=str(tmp_path), debug_mode=True, escalate="medium") == 10


def test_where_nothing_was_too_large_no_machine_is_started():
    fanfold.submit(slow_once, [2, 3], escalate="medium")
    assert len(fanfold.get_jobs()) == 1


@fanfold.udf(cache_max_age=0)
def doubled(x: int):
    return 2 * x


def seed_of(*fates):
    """One by which the first runs of a job meet these, each in its first try."""
    return next(
        seed
        for seed in range(10_000)
        if tuple(Chaos(Conditions("lambda", (("oom", 0.5),), seed)).fate(n, 0) for n in range(len(fates))) == fates
    )


@pytest.mark.parametrize("ladder", [("medium", "large"), pytest.param(True, marks=pytest.mark.long)])
def test_what_is_too_large_on_one_machine_is_run_on_the_next(ladder, capfd):
    # The last two runs of the first job are too large; as the first two of the next, one of them; then none.
    with fanfold.local(chaos={"oom": 0.5}, seed=seed_of("", "oom", "oom")):
        frame = fanfold.submit(doubled, [1, 2, 3], escalate=ladder)
    assert frame.result.to_list() == [2, 4, 6]
    large, medium, first = fanfold.get_jobs(limit=3)
    assert [job.header.instance_type for job in (first, medium, large)] == [None, "medium", "large"]
    assert [job.counts() for job in (first, medium, large)] == [
        {"succeeded": 3},
        {"succeeded": 1, "out_of_memory": 1},
        {"succeeded": 1},
    ]
    said = capfd.readouterr().err
    assert f"2 runs were too large, and run again on medium: job {medium.id}" in said
    assert 'fanfold: 2 of 3 runs needed medium: for such inputs, instance_type="medium" is sooner and cheaper.' in said
    assert "needed large" not in said


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"escalate": "lrge"}, "^escalate='lrge' is not a machine.*\n.*did you mean large"),
        ({"escalate": "realtime"}, "is the machine that the runs have already"),
        ({"escalate": "small", "instance_type": "small"}, "is the machine that the runs have already"),
        ({"escalate": ("large", "medium")}, "leads to no larger machine"),
        ({"escalate": True, "instance_type": "large"}, "leads to no larger machine"),
        ({"escalate": ()}, "leads to no larger machine"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_starts(asked, says):
    with pytest.raises(fanfold.InputError, match=says):
        fanfold.submit(slow_once, [1], **asked)
    assert fanfold.get_jobs() == []


def note(folder: str):
    with open(f"{folder}/notes", "a", encoding="utf-8") as file:
        file.write("computed\n")
    return 7


@fanfold.udf(timeout_s=LIMIT_S)
def holds_after_its_step(x: int, folder: str):
    import os
    import time

    kept = fanfold.step("note", note, folder) if x == 1 else x
    while x == 1 and not os.path.exists(f"{folder}/go"):
        open(f"{folder}/{fanfold.run_id().partition('/')[0]}", "w").close()
        time.sleep(0.02)
    return kept


def test_a_cancel_ends_the_larger_job_and_a_retry_goes_on_from_the_steps_of_both(eventually, tmp_path):
    job = fanfold.submit(holds_after_its_step, range(3), folder=str(tmp_path), escalate="medium", collect=False)
    (larger,) = eventually(lambda: larger_jobs(job.tracker.look()))
    eventually((tmp_path / larger.name).exists)
    job.cancel()
    assert job.counts() == {"succeeded": 2, "cancelled": 1}
    assert fanfold.get_job(larger.name).wait(120).status == "Cancelled"
    (tmp_path / "go").touch()
    assert job.retry().wait(120).results() == [0, 7, 2]
    assert (tmp_path / "notes").read_text() == "computed\n"
