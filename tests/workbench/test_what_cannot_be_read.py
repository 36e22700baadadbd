"""One result, input, event or chart point that cannot be read says so in its own place: all others are shown."""

from __future__ import annotations

import math
import pickle
from contextlib import closing
from hashlib import sha256

import pytest
from playwright.sync_api import expect

import fanfold
from fanfold.core.models import Event, EventKind, Output, RunStatus, Usage
from fanfold.job import history
from fanfold.job.chart_data import LoadSample
from fanfold.job.step_history import step_record
from fanfold.workbench.following import FollowedJobs
from fanfold.workbench.job.chart_panel import ChartSight, pictures_of
from fanfold.workbench.routes import run_rows
from tests.workbench.browser import WIDE
from tests.workbench.conftest import Workbench, tab
from tests.workbench.samples import Store, delays, ended

GONE = b"cno.such.module\nGone\n."


@fanfold.udf(serializer="pickle")
def given(x: int):
    return x


def pickled(header, run, data):
    output = Output("pickle/1", sha256(data).hexdigest(), len(data), data)
    return ended(header, run)._replace(output=output)


@pytest.fixture
def gone(store, workbench):
    """A job of six runs of which the fourth has given an object of a class that is gone."""
    header = store.job(given, range(6), cache=False)
    marker = workbench.home / "pickled" / header.id  # this user's own: its pickles are read
    marker.parent.mkdir(exist_ok=True)
    marker.touch()
    store.log.append([pickled(header, run, GONE if run == 3 else pickle.dumps(run * 10)) for run in range(6)])
    return header


def test_a_result_whose_class_is_gone_takes_its_own_row_and_leads_to_its_run(visit, gone):
    page = visit(f"/job/{gone.id}?tab=Results")
    expect(page.locator("#ff-result-count")).to_contain_text("6 rows")
    first = page.locator(".ag-row[row-index='0']")
    expect(first.locator("[col-id='c0']")).to_have_text("3")
    expect(first.locator("[col-id='c1']")).to_contain_text("No module named 'no'")
    expect(page.locator(".ag-row[row-index='5'] [col-id='c2']")).to_have_text("50")
    page.get_by_label("Filter").fill("result > 30")
    expect(page.locator("#ff-result-count")).to_have_text("2 rows of this kind")
    with page.expect_response("**/results.parquet") as told:
        page.get_by_role("link", name="Download Parquet").click()
    assert told.value.status == 409
    assert "The result of run 3 cannot be read: This pickle does not load here" in told.value.json()["detail"]
    page.get_by_role("status").get_by_role("link", name="run 3").click()
    expect(page.get_by_label("What it gave")).to_contain_text("No module named 'no'")


def broken(header, kind, index=0, **data):
    return Event.new(header.id, index, 0, kind, data=data)


def finished(header, usage):
    end = ended(header, 0)
    return Event.new(
        header.id, 3, 0, EventKind.FINISHED, at=end.at, status=RunStatus.SUCCEEDED, output=end.output, usage=usage
    )


BROKEN = {
    "load in words": lambda job: broken(job, EventKind.USAGE, cpu_percent="many", memory_mib=[1]),
    "load without numbers": lambda job: broken(
        job, EventKind.USAGE, cpu_percent=math.nan, memory_mib=math.inf, disk_free_mib="x", network_in_mib="y"
    ),
    "output without text": lambda job: broken(job, EventKind.LOG),
    "output that is a number": lambda job: broken(job, EventKind.LOG, text=7),
    "a step that was never made": lambda job: broken(job, EventKind.STEP, made_at="never", took_s="x"),
    "a machine without a name": lambda job: broken(job, EventKind.MACHINE, -1),
    "a dispatch without a name": lambda job: broken(job, EventKind.STAGE, -1),
    "a run of no length": lambda job: finished(job, Usage(math.nan, math.nan, math.nan)),
    "a run of endless length": lambda job: finished(job, Usage(math.inf, 0.0, -1.0)),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("event", BROKEN.values(), ids=BROKEN)
def test_an_event_that_says_nothing_sensible_hides_no_other(home, event):
    store = Store(home)
    header = store.job(delays, range(4), cache=False)
    printed = broken(header, EventKind.LOG, 1, text="all is well\n")
    load = broken(header, EventKind.USAGE, 1, cpu_percent=50.0, memory_mib=100.0)
    store.log.append([*(ended(header, run, bad=run == 1) for run in range(3)), event(header), printed, load])
    followed = FollowedJobs("local").followed(header.id)
    with closing(followed.log):
        followed.look_now()
        assert followed.trouble is None
        assert [line.text for line in followed.log.lines(0, 9, 1)] == ["all is well"]
        rows = run_rows(followed, (0, 9), sort="took", descending=True, status="")["rows"]
        assert {row["run"] for row in rows} == {0, 1, 2, 3}
        pictures = pictures_of(followed, ChartSight())
        assert pictures["timeline"].options
        assert pictures["load"].options
        assert "NaN" not in "".join(one.options or "" for one in pictures.values())
        assert history.moments(followed.job.state)
        assert followed.job.summary().name == "delays"


def test_numbers_of_an_event_that_are_none_are_left_out_of_what_it_tells():
    sample = LoadSample.of(Event.new("job", 0, 0, EventKind.USAGE, data={"cpu_percent": "many", "disk_free_mib": "x"}))
    assert (sample.cpu_percent, sample.disk_free_mib) == (0.0, None)
    event = Event.new("job", 0, 0, EventKind.STEP, data={"made_at": "never", "took_s": "x"})
    assert (step_record(event).made_at, step_record(event).took_s) == (event.at, 0.0)


UNFORESEEN = """
import sys
from pathlib import Path
from fanfold.job import history
from fanfold.workbench import server

def moments(state):
    raise RuntimeError("nobody has foreseen this")

history.moments = moments
server.run(port=0, show=False, folder=Path(sys.argv[1]), engine=None, announce=lambda it: print(it, flush=True))
"""


def test_a_part_of_the_page_that_fails_says_so_and_the_others_go_on(chromium, tmp_path):
    running = Workbench(tmp_path / "home", tmp_path, program=("-c", UNFORESEEN))
    page = chromium.new_page(viewport=WIDE)
    try:
        header = running.store.finished(3)
        page.goto(running.address)
        page.goto(f"{running.root}/job/{header.id}?tab=History")
        expect(page.get_by_text("RuntimeError: nobody has foreseen this")).to_be_visible()
        expect(page.get_by_role("status").first).to_have_text("Completed")
        tab(page, "Code")
        expect(page.get_by_text("def delays")).to_be_visible()
        expect(page.get_by_text("A part of this page cannot be shown.")).to_be_hidden()
    finally:
        page.close()
        running.close()
