"""Running again the runs of one cause, or one run; and the ways to a run's page: its bar, its lines in the log."""

from __future__ import annotations

import re
import time

from playwright.sync_api import expect

from fanfold.core.models import Event, EventKind, RunStatus
from tests.workbench.browser import at_rest
from tests.workbench.samples import delays

#: Where in its chart the middle of a run's bar is.
BAR = """(run) => {
  const box = document.querySelector('[data-chart=timeline]'), chart = getElement(Number(box.id.slice(1))).chart;
  const [line, start, end] = chart.getOption().series[0].data.find((one) => one[4] === run);
  const [x, y] = chart.convertToPixel({ gridIndex: 0 }, [(start + end) / 2, line + 0.5]);
  return { x, y };
}"""


def bad_runs(page, workbench, job_id):
    return page.request.get(f"{workbench.root}/job/{job_id}/runs.json?status=bad").json()["count"]


def test_the_runs_of_one_cause_are_run_again(visit, store):
    header = store.finished(12, failing=4)
    page = visit(f"/job/{header.id}?tab=Errors")
    page.get_by_role("button", name="Run these 3 again").click()
    expect(page.get_by_role("status").first).to_have_text("Completed")


def test_what_cannot_be_run_again_now_says_why(visit, store):
    header = store.job(delays, range(8), cache=False)
    store.fails(header, 0, 1)
    store.starts(header, *range(2, 8))
    page = visit(f"/job/{header.id}?tab=Errors")
    again = page.get_by_role("button", name="Run these 2 again")
    expect(again).to_be_disabled()
    expect(page.get_by_text("once the job has ended")).to_be_visible()
    store.log.request_cancel(header.id, time.time())
    store.ends(header, *range(2, 7))
    store.log.append([Event.new(header.id, 7, 0, EventKind.FINISHED, status=RunStatus.CANCELLED)])
    expect(page.get_by_role("status").first).to_have_text("Cancelled")
    expect(page.get_by_text("the button in its head runs all").first).to_be_visible()
    expect(again).to_be_disabled()
    page.get_by_role("tabpanel", name="Errors").get_by_role("link", name="run 1").click()
    expect(page.get_by_role("button", name="Run it again")).to_be_disabled()
    expect(page.get_by_text("the button in its head runs all").first).to_be_visible()


def test_one_run_is_run_again_and_no_other(visit, workbench, store):
    header = store.finished(12, failing=4)
    page = visit(f"/job/{header.id}")
    expect(page.locator("[data-chart=timeline][data-drawn] canvas")).to_be_visible()
    at_rest(page)
    page.locator("[data-chart=timeline]").click(position=page.evaluate(BAR, 3))
    expect(page).to_have_url(re.compile(r"/run/3$"))
    page.get_by_role("button", name="Run it again").click()
    expect(page.get_by_role("status").first).to_have_text("succeeded")
    expect(page.get_by_label("Facts")).to_contain_text("attempt 1 failed")
    assert bad_runs(page, workbench, header.id) == 2


def test_a_line_of_the_log_leads_to_its_run_and_the_address_names_whose_lines_are_shown(visit, small_job):
    page = visit(f"/job/{small_job.id}?tab=Logs&run=3")
    expect(page.get_by_label("Run", exact=True)).to_have_value("3")
    page.get_by_role("log").get_by_role("link", name="[3]").first.click()
    expect(page).to_have_url(re.compile(r"/run/3$"))
