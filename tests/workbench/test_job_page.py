"""A job's page: how it stands, why it failed, what it printed, and the buttons that steer it."""

from __future__ import annotations

import re
import time
from hashlib import sha256

import pandas as pd
import pytest
from playwright.sync_api import expect

from fanfold.core.models import Event, EventKind, Output
from tests.workbench.browser import NARROW, at_rest, fits
from tests.workbench.conftest import tab
from tests.workbench.samples import delays, ended


@pytest.fixture(scope="module")
def wide_job(workbench):
    return workbench.store.finished(10_000, failing=500)


def test_a_job_of_10_000_runs_is_drawn_put_together_and_zooming_in_shows_single_runs(visit, wide_job, picture):
    page = visit(f"/job/{wide_job.id}")
    expect(page.get_by_role("status").first).to_have_text("Failed")
    expect(page.get_by_text("9,980 succeeded")).to_be_visible()
    expect(page.get_by_text("zoom in for single runs")).to_be_visible()
    for chart in ("timeline", "histogram", "load"):
        expect(page.locator(f"[data-chart={chart}] canvas")).to_be_visible()
    picture(page, "job")
    chart = page.locator("[data-chart=timeline]")
    expect(page.locator("[data-chart=timeline][data-drawn] canvas")).to_be_visible()
    element = chart.evaluate("e => Number(e.id.slice(1))")
    page.evaluate(f"getElement({element}).chart.dispatchAction({{type: 'dataZoom', start: 10, end: 15}})")
    expect(page.get_by_text("one bar a run")).to_be_visible()


def test_errors_stand_by_cause_with_count_traceback_and_inputs_and_snippets_are_copied(visit, small_job, picture):
    page = visit(f"/job/{small_job.id}")
    tab(page, "Errors")
    expect(page.get_by_role("tabpanel").get_by_role("heading", name="4 runs: ValueError")).to_be_visible()
    expect(page.get_by_text('File "delays.py", line 3')).to_be_visible()
    expect(page.get_by_text("run 13: x=13")).to_be_visible()
    picture(page, "job-errors")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    snippets = {"Copy Python": f'fanfold.get_job("{small_job.id}")', "Copy command": f"fanfold status {small_job.id}"}
    for button, snippet in snippets.items():
        page.get_by_role("button", name=button).click()
        expect(page.get_by_text(f"Copied: {snippet}")).to_be_visible()
        page.wait_for_function("async (words) => (await navigator.clipboard.readText()) === words", arg=snippet)


def test_copied_is_said_when_the_browser_has_copied_and_not_before(visit, small_job):
    page = visit(f"/job/{small_job.id}")
    page.evaluate("""() => { navigator.clipboard.writeText = (text) => new Promise((done) => {
      window.asked = text; window.copied = done; }); }""")
    page.get_by_role("button", name="Copy Python").click()
    page.wait_for_function("() => window.asked")
    tab(page, "Runs")  # what the server shows of it comes after all that it says of the button
    expect(page.locator('.ag-row[row-id="5"]')).to_be_visible()
    expect(page.get_by_text("Copied")).to_be_hidden()
    page.evaluate("window.copied()")
    expect(page.get_by_text(f'Copied: fanfold.get_job("{small_job.id}")')).to_be_visible()


@pytest.mark.parametrize("place", ["", "/run/5"])
def test_a_browser_that_refuses_to_copy_shows_the_text_to_be_selected(visit, small_job, place):
    page = visit(f"/job/{small_job.id}{place}")
    page.context.grant_permissions(["geolocation"])  # and refuse all others
    page.get_by_role("button", name="Copy Python").click()
    expect(page.get_by_text("The browser did not let this page copy")).to_be_visible()
    expect(page.get_by_text("Copied")).to_be_hidden()
    snippet = f'fanfold.get_job("{small_job.id}")' + ("[5]" if place else "")
    at_rest(page).get_by_text(snippet, exact=True).click(click_count=3)
    assert page.evaluate("String(getSelection()).trim()") == snippet


def test_a_run_is_chosen_in_the_table_and_shows_its_result(visit, small_job, picture):
    page = visit(f"/job/{small_job.id}")
    tab(page, "Runs")
    page.locator('.ag-row[row-id="5"]').click()
    chosen = page.get_by_label("The chosen run")
    expect(chosen).to_contain_text("run 5 · succeeded · 7.0 s")
    expect(chosen.locator("pre")).to_have_text("25")
    expect(page.locator('.ag-row[row-id="5"] [col-id="result"]')).to_have_text("25")
    expect(page.locator('.ag-row[row-id="5"] [col-id="attempt"]')).to_have_text("1")
    picture(page, "job-runs")
    page.get_by_label("Status").select_option("bad")
    page.locator('.ag-row[row-id="13"]').click()
    expect(chosen.locator("pre")).to_contain_text("ValueError: 13 is odd")


def test_the_code_stands_as_it_ran_and_the_history_tells_what_became_of_it_when(visit, small_job, picture):
    page = visit(f"/job/{small_job.id}")
    tab(page, "Code")
    expect(page.get_by_text(f"code hash {small_job.code_hash}, 40 runs")).to_be_visible()
    travelled = page.get_by_role("table", name="What travelled")
    expect(travelled.get_by_role("row", name="source text, compiled where it runs delays")).to_be_visible()
    expect(page.locator("pre").filter(has_text="return x * x")).to_be_visible()
    picture(page, "job-code")
    tab(page, "History")
    for moment in ("submitted by", "the first run began", "half of the runs had ended", "ended: Failed"):
        expect(page.get_by_text(moment)).to_be_visible()
    picture(page, "job-history")


def test_a_running_job_shows_what_is_left_and_an_event_is_there_soon(visit, store, picture):
    header = store.job(delays, range(50), cache=False)
    page = visit(f"/job/{header.id}")
    expect(page.get_by_text("waiting for a free worker")).to_be_visible()
    expect(page.get_by_text("Nothing has run yet")).to_be_visible()
    store.starts(header, *range(10))
    store.ends(header, *range(5))
    expect(page.get_by_text("5 succeeded")).to_be_visible()
    expect(page.get_by_text("time left")).to_be_visible()
    expect(page.locator("[data-chart=timeline][data-drawn] canvas")).to_be_visible()
    picture(page, "job-running")
    store.ends(header, *range(5, 50))
    expect(page.get_by_role("status").first).to_have_text("Completed")


def test_a_job_of_a_clock_that_is_ahead_has_no_time_below_zero(visit, store, monkeypatch):
    ahead = time.time() + 3 * 3600
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: ahead)
        header = store.job(delays, range(20), cache=False)
        store.starts(header, *range(8))
        store.ends(header, 2, 3)
    page = visit(f"/job/{header.id}")
    facts = page.get_by_label("How it stands")
    expect(facts).to_contain_text("runtime0 ms")
    assert not re.search(r"-\d+ ms|time left", facts.inner_text())
    page.goto(f"{page.url}/run/2")
    expect(page.get_by_label("Facts")).to_contain_text("attempt 1 succeeded, 4.0 s")
    assert "beside" not in page.get_by_label("Facts").inner_text()


def test_cancel_asks_first_and_then_ends_the_job(visit, store):
    header = store.job(delays, range(5), cache=False)
    page = visit(f"/job/{header.id}")
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Let it run").click()
    expect(page.get_by_role("status").first).to_have_text("Queued")
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Cancel the job").click()
    expect(page.get_by_role("status").first).to_have_text("Cancelled")
    expect(page.get_by_role("button", name="Run the rest")).to_be_visible()  # nothing has failed
    expect(page.get_by_text("No run was performed here")).to_be_visible()
    assert store.log.get_job(header.id).cancelled_at is not None


def test_retry_runs_again_what_failed_and_a_second_browser_sees_it(visit, store):
    header = store.finished(12, failing=10)
    first, second = visit(f"/job/{header.id}"), visit(f"/job/{header.id}")
    expect(second.get_by_text("1 failed")).to_be_visible()
    first.get_by_role("button", name="Retry failed").click()
    for page in (first, second):  # this time it is the UDF that runs, and it does not fail
        expect(page.get_by_role("status").first).to_have_text("Completed")
    expect(second.get_by_text("12 succeeded")).to_be_visible()


def test_results_are_downloaded_and_a_status_that_no_run_has_is_refused_in_words(visit, small_job, workbench, tmp_path):
    page = visit(f"/job/{small_job.id}")
    for kind, read in (("Parquet", pd.read_parquet), ("CSV", pd.read_csv)):
        with page.expect_download() as told:
            page.get_by_role("link", name=f"Download {kind}").click()
        path = tmp_path / kind
        told.value.save_as(path)
        frame = read(path)
        assert len(frame) == 36
        assert frame.result[1] == 1
    answer = page.request.get(f"{workbench.root}/job/{small_job.id}/runs.json?status=zzz")
    assert answer.status == 400
    assert "'zzz'" in answer.text()
    assert "timed_out" in answer.text()


def test_csv_opens_in_a_spreadsheet_without_becoming_a_formula(visit, store, tmp_path):
    header = store.job(delays, range(2), cache=False)
    texts = [b'"=HYPERLINK(1)"', b'"-5 \\u00e9"']
    outputs = [Output("json/1", sha256(data).hexdigest(), len(data), data) for data in texts]
    events = [ended(header, index)._replace(output=output) for index, output in enumerate(outputs)]
    store.log.append(events)
    page = visit(f"/job/{header.id}")
    with page.expect_download() as told:
        page.get_by_role("link", name="Download CSV").click()
    told.value.save_as(tmp_path / "results.csv")
    written = (tmp_path / "results.csv").read_bytes()
    assert written.startswith(b"\xef\xbb\xbf")
    assert list(pd.read_csv(tmp_path / "results.csv").iloc[:, -1]) == ["'=HYPERLINK(1)", "'-5 \u00e9"]


#: The ticks of all axes of all charts, as they are written.
_TICKS = """() => [...document.querySelectorAll('[data-chart][data-drawn]')].flatMap((box) => {
  const chart = getElement(Number(box.id.slice(1))).chart, model = chart.getModel();
  return ['xAxis', 'yAxis'].flatMap((name) => model.queryComponents({ mainType: name })
    .map((one) => one.axis.getViewLabels().map((label) => label.formattedLabel)));
})"""


def test_one_short_run_is_told_in_words_and_ticks_that_are_so(visit, store):
    header = store.job(delays, [1], cache=False)
    store.log.append([ended(header, 0, at=header.created_at + 0.004, took_s=0.0004)])
    page = visit(f"/job/{header.id}")
    expect(page.locator("[data-drawn]")).to_have_count(3)
    at_rest(page)
    words = page.locator("body").inner_text()
    assert "1 run, on a logarithmic scale" in words
    assert "1 runs" not in words
    assert not re.search(r"\b0(\.0)? ms", words)
    axes = page.evaluate(_TICKS)
    assert len(axes) >= 6
    assert all(len(set(ticks)) == len(ticks) for ticks in axes), axes


def test_first_attempts_stay_on_the_timeline(visit, store):
    header = store.job(delays, range(3), cache=False)
    store.log.append([ended(header, 0, bad=True, at=header.created_at + 5)])
    second = ended(header, 0, at=header.created_at + 12)
    store.log.append([second._replace(attempt=1, id=Event.new(header.id, 0, 1, EventKind.FINISHED).id)])
    store.ends(header, 1, 2)
    page = visit(f"/job/{header.id}")
    chart = page.locator("[data-chart=timeline]")
    expect(page.locator("[data-chart=timeline][data-drawn] canvas")).to_be_visible()
    at_rest(page)
    drawn = chart.evaluate("e => getElement(Number(e.id.slice(1))).chart.getOption().series[0].data")
    assert sorted((line, status) for line, _, _, status, *_ in drawn)[:2] == [(0, "failed"), (0, "succeeded")]


def test_a_job_of_10_000_runs_is_filtered_sorted_downloaded_and_told_by_cause(visit, wide_job, tmp_path):
    page = visit(f"/job/{wide_job.id}")
    tab(page, "Runs")
    page.get_by_label("Status").select_option("bad")
    expect(page.locator('.ag-row[row-id="503"]')).to_be_visible()
    expect(page.locator('.ag-row[row-id="5"]')).to_have_count(0)
    tab(page, "Errors")
    expect(page.get_by_role("tabpanel").get_by_role("heading", name="20 runs: ValueError")).to_be_visible()
    with page.expect_download() as told:
        page.get_by_role("link", name="Download Parquet").click()
    told.value.save_as(tmp_path / "wide.parquet")
    assert len(pd.read_parquet(tmp_path / "wide.parquet")) == 9980
    tab(page, "Runs")
    page.get_by_role("columnheader", name="Run", exact=True).click()
    page.get_by_role("columnheader", name="Run", exact=True).click()
    expect(page.locator('.ag-row[row-index="0"]')).to_have_attribute("row-id", "9503")


def test_a_job_of_10_000_runs_is_cancelled_and_what_is_missing_is_run(visit, store):
    header = store.job(delays, range(10_000), cache=False)
    store.ends(header, *range(9_990))
    page = visit(f"/job/{header.id}")
    expect(page.get_by_text("9,990 succeeded")).to_be_visible()
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Cancel the job").click()
    expect(page.get_by_text("10 cancelled")).to_be_visible()
    page.get_by_role("button", name="Run the rest").click()
    expect(page.get_by_text("10,000 succeeded")).to_be_visible()


def test_what_is_read_while_a_job_runs_stays_where_it_is(visit, store):
    header = store.job(delays, range(20), cache=False)
    store.fails(header, 3)
    page = visit(f"/job/{header.id}")
    tab(page, "Errors")
    heading = page.get_by_role("tabpanel").get_by_role("heading", name="1 run: ValueError")
    expect(heading).to_be_visible()
    page.evaluate("window.traceback = document.querySelector('.ff-cause pre')")
    store.fails(header, 5)
    expect(page.get_by_role("tabpanel").get_by_role("heading", name="2 runs: ValueError")).to_be_visible()
    assert page.evaluate("window.traceback.isConnected")  # what somebody selects in it is not lost


def test_an_unknown_job_is_said_to_be_none(visit, picture):
    page = visit("/job/20260131-141502-river-7f3a")
    expect(page.get_by_role("heading", name="There is no such job.")).to_be_visible()
    expect(page.get_by_role("link", name="All jobs")).to_be_visible()
    picture(page, "job-unknown")


def test_it_is_used_on_a_phone_and_in_the_dark(visit, small_job, picture):
    page = visit(f"/job/{small_job.id}", size=NARROW, scheme="dark")
    expect(page.locator("[data-chart=timeline][data-drawn] canvas")).to_be_visible()
    expect(page.locator("body")).to_have_css("color-scheme", "dark")  # what the browser draws itself is dark as well
    assert fits(page, NARROW)
    picture(page, "job-phone-dark")
