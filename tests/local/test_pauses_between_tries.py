"""`retry=fanfold.Retry(...)`: a run that failed is tried again after a pause, while the others go on."""

from __future__ import annotations

import pytest

import fanfold
from fanfold.core.models import EventKind
from tests.stores.event_log_contract import read_all

TWICE = fanfold.Retry(times=3, on=("ValueError busy",), backoff_s=(0.4, 60), jitter=False)


def refused_twice(x: int, folder: str = ""):
    """With a folder, the first one's last try goes on until all others have ended."""
    import os
    import time

    if x == 0 and fanfold.attempt() < 2:
        raise ValueError("busy now")
    if folder and x:
        open(f"{folder}/{x}", "w").close()
    deadline = time.monotonic() + 100
    while folder and not x and len(os.listdir(folder)) < 3:
        assert time.monotonic() < deadline, "the others wait for it"
        time.sleep(0.02)
    return x


@pytest.mark.parametrize("machine", [None, "small"])
def test_the_pauses_are_kept_and_the_others_do_not_wait(machine, tmp_path):
    asked = {"retry": TWICE, "instance_type": machine, "folder": str(tmp_path)}
    job = fanfold.submit(refused_twice, range(4), collect=False, **asked).wait(200)
    assert job.results() == [0, 1, 2, 3]
    assert job[0].attempt == 2
    events = read_all(job.tracker.engine.stores.log, job.id)
    ends = {(e.index, e.attempt): e for e in events if e.kind is EventKind.FINISHED}
    begins = {attempt: ends[0, attempt].at - ends[0, attempt].usage.duration_s for attempt in (1, 2)}
    assert begins[1] - ends[0, 0].at >= 0.4 - 0.01  # two clocks of one machine tell them
    assert begins[2] - ends[0, 1].at >= 0.8 - 0.01


def test_a_job_whose_run_waits_for_its_next_try_says_so_and_ends_when_it_is_cancelled(eventually):
    slow = fanfold.Retry(times=3, on=(ValueError,), backoff_s=3600)
    job = fanfold.submit(refused_twice, [0], retry=slow, collect=False)
    eventually(lambda: "the pause before another try" in str(job.summary()))
    job.cancel()
    assert job.counts() == {"cancelled": 1}


def test_a_udf_may_ask_for_it_and_a_call_beats_it():
    asking = fanfold.udf(refused_twice, retry=TWICE._replace(backoff_s=0))
    assert fanfold.submit(asking, [0], collect=False).wait().results() == [0]
    once = fanfold.Retry(times=1, on=(ValueError,), backoff_s=0)
    assert fanfold.submit(asking, [0], retry=once, cache=False, collect=False).wait().counts() == {"failed": 1}


def test_saying_it_twice_is_refused():
    with pytest.raises(fanfold.InputError, match="retry= cannot be given together with max_retry"):
        fanfold.submit(refused_twice, [0], retry=TWICE, max_retry=1)
    with pytest.raises(fanfold.InputError, match=r"is not a fanfold\.Retry"):
        fanfold.submit(refused_twice, [0], retry=3)
