"""Jobs to look at: real ones on this machine, and states made of events where a real one would take two minutes."""

from __future__ import annotations

import pytest

import fanfold
from fanfold.core.fold import fold
from fanfold.core.models import Event, EventKind, JobHeader, RunStatus, Usage

BEGAN = 1_700_000_000.0


@fanfold.udf
def odd_only(x: int, folder: str = ""):
    print("looking at", x)
    if x % 2 == 0:
        raise ValueError(f"{x} is even")
    return x


@pytest.fixture
def half_failed():
    """Runs 0 and 2 of four have failed."""
    return fanfold.submit(odd_only, range(4), collect=False).wait()


@pytest.fixture
def state_of():
    """The state of a job whose runs took these (seconds, MiB), each with a status if it did not succeed."""

    def make(*took, **header):
        asked = {"engine": "aws", "owner": "me", "bundle_sha256": "", "code_hash": "", **header}
        head = JobHeader(id="job-1", name="told", count=len(took), created_at=BEGAN, **asked)
        events = []
        for index, (duration_s, mib, *status) in enumerate(took):
            facts = {
                "status": status[0] if status else RunStatus.SUCCEEDED,
                "usage": Usage(duration_s, duration_s, mib),
            }
            events.append(Event.new(head.id, index, 0, EventKind.FINISHED, at=BEGAN + duration_s, **facts))
        return fold(head, events)

    return make


@pytest.fixture
def held(tmp_path):
    """A job of six runs that go on until `release()`; run 0 has ended."""

    @fanfold.udf
    def hold(x: int, flag: str):
        import pathlib
        import time

        while x and not pathlib.Path(flag).exists():
            time.sleep(0.01)
        return x

    flag = tmp_path / "release"
    job = fanfold.submit(hold, range(6), flag=str(flag), max_workers=1, collect=False)
    job.result(0)
    yield job, flag.touch
    flag.touch()
