"""The stack of a run that runs now, from another process and from its page; the run goes on."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

import fanfold
from fanfold.core.models import Event, EventKind
from fanfold.errors import InputError
from tests.workbench.conftest import rewrite, within
from tests.workbench.samples import delays

WAITS = """\
import fanfold


@fanfold.udf
def waits(folder: str = "{folder}"):
    import pathlib
    import time

    def for_the_file():
        while not (pathlib.Path(folder) / "go").exists():
            time.sleep(0.02)

    for_the_file()
    return "it went on"
"""


@fanfold.udf
def waits(folder: str):
    import pathlib
    import time

    while not (pathlib.Path(folder) / "go").exists():
        time.sleep(0.02)
    return "it went on"


def test_a_run_is_asked_where_it_stands_and_goes_on(tmp_path):
    job = fanfold.submit(waits, [str(tmp_path)], collect=False, cache=False)
    within(30, lambda: job.counts() == {"running": 1})
    within(30, lambda: "in waits" in job[0].stack())
    (tmp_path / "go").touch()
    assert job.wait(progress=False).results() == ["it went on"]
    with pytest.raises(InputError, match="is not running now"):
        job[0].stack()


def test_the_page_of_a_run_shows_where_it_is(bench, workbench, tmp_path):
    page = bench("flights.py")
    rewrite(page, WAITS.replace("{folder}", str(tmp_path)))
    page.keyboard.press("Shift+Enter")
    outcome = page.get_by_label("What it gives")
    expect(outcome.get_by_text("Running", exact=True)).to_be_visible()
    job_id = (outcome.get_by_role("link", name="job ").get_attribute("href") or "").rpartition("/")[2]
    page.goto(f"{workbench.root}/job/{job_id}/run/0")
    page.get_by_role("button", name="Where is it now?").click()
    expect(page.get_by_role("region", name="Where it is now")).to_contain_text("in for_the_file")
    (tmp_path / "go").touch()
    expect(page.get_by_label("What it gave")).to_contain_text("it went on")


def test_the_page_of_a_run_shows_which_steps_were_computed_and_which_the_log_answered(visit, store):
    header = store.job(delays, range(1), cache=False)

    def step(attempt: int, **data: object) -> Event:
        return Event.new(header.id, 0, attempt, EventKind.STEP, data={"what": "step", "took_s": 2.0, **data})

    kept = {"name": "list", "made_at": 1_700_000_000.0, "made_by": header.id}
    store.log.append([step(0, name="list"), step(1, **kept), step(1, name="merge")])
    steps = visit(f"/job/{header.id}/run/0").get_by_role("region", name="Steps of this run")
    expect(steps).to_contain_text("attempt 1  list computed in 2.0 s at ")
    expect(steps).to_contain_text("attempt 2  list answered from the log: computed in 2.0 s at 2023-11-14")
    expect(steps).to_contain_text("attempt 2  merge computed")


def test_a_process_that_is_no_worker_is_never_asked(visit, store, workbench):
    header = store.job(delays, range(1), cache=False)
    pid = workbench.process.pid  # to it, the signal would be the end
    store.log.append([Event.new(header.id, 0, 0, EventKind.STARTED, data={"pid": pid})])
    page = visit(f"/job/{header.id}/run/0")
    page.get_by_role("button", name="Where is it now?").click()
    expect(page.get_by_role("region", name="Where it is now")).to_contain_text("cannot be asked")
    assert workbench.process.poll() is None
